/// Evicts the expert whose last use is longest ago.
///
/// A doubly linked list over slot numbers, least recently used first. Every operation is O(1).
package struct LeastRecentlyUsed: EvictionPolicy {
  private static let none: Int32 = -1
  /// By slot; the entry past the last slot is the list's head and tail.
  private var next: [Int32]
  private var previous: [Int32]
  private var isListed: [Bool]
  private let sentinel: Int32

  /// Lists all of `slotCount` slots, in order of their number.
  package init(slotCount: Int) {
    sentinel = Int32(slotCount)
    next = [Int32](repeating: Self.none, count: slotCount + 1)
    previous = next
    isListed = [Bool](repeating: false, count: slotCount)
    next[slotCount] = sentinel
    previous[slotCount] = sentinel
    for slot in 0..<slotCount { insert(Int32(slot), after: previous[Int(sentinel)]) }
  }

  package var followed: CachePolicy { .lru }

  package mutating func beginPass(_ experts: [Int32], firstKey: Int) {}

  package mutating func insert(_ slot: Int, key: Int?) {
    insert(Int32(slot), after: key == nil ? sentinel : previous[Int(sentinel)])
  }

  package mutating func remove(_ slot: Int) {
    guard isListed[slot] else { return }
    isListed[slot] = false
    next[Int(previous[slot])] = next[slot]
    previous[Int(next[slot])] = previous[slot]
  }

  package mutating func popVictim() -> Int? {
    let slot = next[Int(sentinel)]
    guard slot != sentinel else { return nil }
    remove(Int(slot))
    return Int(slot)
  }

  package var isEmpty: Bool { next[Int(sentinel)] == sentinel }

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
