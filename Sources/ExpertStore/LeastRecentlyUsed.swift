/// Evicts the expert whose last use is longest ago.
///
/// A doubly linked list over slot numbers: the empty ones, a boundary, then the least recently used
/// first. Every operation is O(1).
package struct LeastRecentlyUsed: EvictionPolicy {
  private static let none: Int32 = -1
  /// By slot; the entry past the last slot is the list's head and tail, the one after it the
  /// boundary.
  private var next: [Int32]
  private var previous: [Int32]
  private var isListed: [Bool]
  private let sentinel: Int32
  private let boundary: Int32

  /// Lists all of `slotCount` slots, in order of their number.
  package init(slotCount: Int) {
    sentinel = Int32(slotCount)
    boundary = sentinel + 1
    next = [Int32](repeating: Self.none, count: slotCount + 2)
    previous = next
    isListed = [Bool](repeating: false, count: slotCount)
    for node in [sentinel, boundary] {
      next[Int(node)] = node == sentinel ? boundary : sentinel
      previous[Int(node)] = next[Int(node)]
    }
    for slot in 0..<slotCount { insert(Int32(slot), after: previous[Int(boundary)]) }
  }

  package var followed: CachePolicy { .lru }

  package mutating func beginPass(_ experts: [Int32], firstKey: Int) {}

  package mutating func insert(_ slot: Int, key: Int?) {
    insert(Int32(slot), after: key == nil ? sentinel : previous[Int(sentinel)])
  }

  package mutating func insertUnused(_ slot: Int, key: Int) {
    insert(Int32(slot), after: boundary)
  }

  package mutating func remove(_ slot: Int) {
    guard isListed[slot] else { return }
    isListed[slot] = false
    next[Int(previous[slot])] = next[slot]
    previous[Int(next[slot])] = previous[slot]
  }

  package var victim: Int? {
    let first = next[Int(sentinel)]
    let slot = first == boundary ? next[Int(boundary)] : first
    return slot == sentinel ? nil : Int(slot)
  }

  package mutating func popVictim() -> Int? {
    guard let slot = victim else { return nil }
    remove(slot)
    return slot
  }

  package var isEmpty: Bool {
    next[Int(sentinel)] == boundary && next[Int(boundary)] == sentinel
  }

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
