/// The eviction order of slots: a doubly linked list over slot numbers, least recently used first.
///
/// Only slots that may be evicted are in it; a pinned slot is taken out and put back when the last
/// pin goes. This is the seam for other policies: they decide what ``popVictim()`` returns.
/// Every operation is O(1) and allocates nothing.
struct RecencyList {
  private static let none: Int32 = -1
  /// By slot; the entry past the last slot is the list's head and tail.
  private var next: [Int32]
  private var previous: [Int32]
  private var isListed: [Bool]
  private let sentinel: Int32

  /// Holds all of `slotCount` slots, in order of their number.
  init(slotCount: Int) {
    sentinel = Int32(slotCount)
    next = [Int32](repeating: Self.none, count: slotCount + 1)
    previous = next
    isListed = [Bool](repeating: false, count: slotCount)
    next[slotCount] = sentinel
    previous[slotCount] = sentinel
    for slot in 0..<slotCount { insertMostRecent(slot) }
  }

  /// Makes `slot` the last one to be evicted.
  mutating func insertMostRecent(_ slot: Int) {
    insert(Int32(slot), after: previous[Int(sentinel)])
  }

  /// Makes `slot` the first one to be evicted: it holds nothing of value.
  mutating func insertLeastRecent(_ slot: Int) { insert(Int32(slot), after: sentinel) }

  /// Takes `slot` out; nothing happens when it is not listed.
  mutating func remove(_ slot: Int) {
    guard isListed[slot] else { return }
    isListed[slot] = false
    next[Int(previous[slot])] = next[slot]
    previous[Int(next[slot])] = previous[slot]
  }

  /// Takes out the slot to evict, or returns nil when no slot may be evicted.
  mutating func popVictim() -> Int? {
    let slot = next[Int(sentinel)]
    guard slot != sentinel else { return nil }
    remove(Int(slot))
    return Int(slot)
  }

  /// Whether no slot may be evicted.
  var isEmpty: Bool { next[Int(sentinel)] == sentinel }

  private mutating func insert(_ slot: Int32, after other: Int32) {
    precondition(!isListed[Int(slot)])
    let following = next[Int(other)]
    next[Int(other)] = slot
    previous[Int(slot)] = other
    next[Int(slot)] = following
    previous[Int(following)] = slot
    isListed[Int(slot)] = true
  }
}
