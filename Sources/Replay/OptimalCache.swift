/// The most hits that any cache could have had with these requests: it evicts the expert whose next
/// use is furthest away (Belady, "A study of replacement algorithms for a virtual-storage computer",
/// IBM Systems Journal 5(2), 1966), which needs the future.
public enum OptimalCache {
  /// The optimum for `requests` with `slotCount` slots, at least 1.
  ///
  /// As in the store, a pass that fits holds all of its experts at its end, and one that does not has
  /// gone through every slot; which part of it stays is free here, and so is what stays after a chunk,
  /// so that no policy is ever above the optimum.
  /// - Complexity: O(requests x log requests).
  public static func run(_ requests: ExpertRequests, slotCount: Int) -> CacheOutcome {
    let slots = min(max(slotCount, 1), requests.keyCount)
    let nextUses = nextUses(of: requests)
    var outcome = CacheOutcome()
    var held = HeldExperts(keyCount: requests.keyCount)
    /// By expert: the last pass that asked for it.
    var usedIn = [Int](repeating: -1, count: requests.keyCount)
    var queue = FurthestUseQueue()
    var aside: [FurthestUseQueue.Entry] = []
    var access = 0
    for (number, pass) in requests.passes.enumerated() {
      var hits = 0
      for expert in pass.experts {
        let key = requests.firstKey(pass.layer) + Int(expert)
        if !held.insert(key, nextUse: nextUses[access]) { hits += 1 }
        queue.push(.init(nextUse: nextUses[access], key: key))
        usedIn[key] = number
        access += 1
      }
      outcome.add(pass, hits: hits, expertBytes: requests.expertBytes[pass.layer])
      let fits = pass.experts.count <= slots && !pass.isChunk
      if !fits, !pass.isChunk { held.removeAll { usedIn[$0] != number } }
      while held.keys.count > slots, let entry = queue.pop() {
        // An entry of an earlier use is stale: this use, or an eviction, came after it.
        guard held.nextUses[entry.key] == entry.nextUse else { continue }
        if fits, usedIn[entry.key] == number {
          aside.append(entry)
        } else {
          held.remove(entry.key)
        }
      }
      for entry in aside { queue.push(entry) }
      aside.removeAll(keepingCapacity: true)
    }
    return outcome
  }

  /// For every request in order: the pass that asks for the same expert next, `Int.max` for none.
  private static func nextUses(of requests: ExpertRequests) -> [Int] {
    var access = requests.passes.reduce(0) { $0 + $1.experts.count }
    var result = [Int](repeating: Int.max, count: access)
    var upcoming = [Int](repeating: Int.max, count: requests.keyCount)
    for (number, pass) in requests.passes.enumerated().reversed() {
      for expert in pass.experts.reversed() {
        access -= 1
        let key = requests.firstKey(pass.layer) + Int(expert)
        result[access] = upcoming[key]
        upcoming[key] = number
      }
    }
    return result
  }
}

/// The experts that the cache holds.
private struct HeldExperts {
  /// In no order.
  private(set) var keys: [Int] = []
  /// By expert: the pass that uses it next, -1 for one that is not held.
  private(set) var nextUses: [Int]
  /// By expert: index in ``keys``.
  private var places: [Int]

  init(keyCount: Int) {
    nextUses = [Int](repeating: -1, count: keyCount)
    places = nextUses
  }

  /// Holds `key` until `nextUse`; false when it was held already.
  mutating func insert(_ key: Int, nextUse: Int) -> Bool {
    let isNew = nextUses[key] < 0
    nextUses[key] = nextUse
    guard isNew else { return false }
    places[key] = keys.count
    keys.append(key)
    return true
  }

  mutating func remove(_ key: Int) {
    nextUses[key] = -1
    let last = keys.removeLast()
    guard last != key else { return }
    keys[places[key]] = last
    places[last] = places[key]
  }

  mutating func removeAll(where isUnwanted: (Int) -> Bool) {
    for key in keys.filter(isUnwanted) { remove(key) }
  }
}

/// A heap of experts, furthest next use first.
private struct FurthestUseQueue {
  struct Entry {
    let nextUse: Int
    let key: Int
  }

  private var heap: [Entry] = []

  mutating func push(_ entry: Entry) {
    heap.append(entry)
    var child = heap.count - 1
    while child > 0, heap[(child - 1) / 2].nextUse < entry.nextUse {
      heap[child] = heap[(child - 1) / 2]
      child = (child - 1) / 2
    }
    heap[child] = entry
  }

  mutating func pop() -> Entry? {
    guard let first = heap.first, let entry = heap.popLast() else { return nil }
    guard !heap.isEmpty else { return first }
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1].nextUse > heap[child].nextUse { child += 1 }
      guard heap[child].nextUse > entry.nextUse else { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = entry
    return first
  }
}
