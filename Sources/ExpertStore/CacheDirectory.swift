/// A cache without its data: what ``ExpertStore`` would hold, hit and evict if it were given the
/// same passes by one user.
///
/// Passes are served as the store serves them: resident experts are pinned and come first, the
/// others claim slots in the order asked for, and every expert gives its slot back before the next
/// one is served. Nothing is allocated once a pass of the largest size was served.
package struct CacheDirectory: Sendable {
  private var policy: any EvictionPolicy
  /// By dense expert number: its slot, -1 when not resident.
  private var slots: [Int32]
  /// By slot: the expert it holds, -1 for none.
  private var keys: [Int32]
  /// Scratch: slots of the pass in serving order, and its missing experts.
  private var order: [Int32] = []
  private var missing: [Int32] = []

  /// An empty cache of `slotCount` slots; the other sizes are those of
  /// ``CachePolicy/makePolicy(slotCount:keyCount:layerCount:largestPass:)``.
  package init(
    policy: CachePolicy, slotCount: Int, keyCount: Int, layerCount: Int, largestPass: Int
  ) {
    self.policy = policy.makePolicy(
      slotCount: slotCount, keyCount: keyCount, layerCount: layerCount, largestPass: largestPass)
    slots = [Int32](repeating: -1, count: keyCount)
    keys = [Int32](repeating: -1, count: slotCount)
    order.reserveCapacity(largestPass)
    missing.reserveCapacity(largestPass)
  }

  /// The policy that decides at present.
  package var followed: CachePolicy { policy.followed }

  /// Whether expert `key` is held.
  package func holds(_ key: Int) -> Bool { slots[key] >= 0 }

  /// Serves one pass over distinct `experts` of a layer whose expert 0 has number `firstKey`.
  /// - Returns: How many of them were held.
  package mutating func serve(_ experts: [Int32], firstKey: Int) -> Int {
    order.removeAll(keepingCapacity: true)
    missing.removeAll(keepingCapacity: true)
    for expert in experts {
      let slot = slots[firstKey + Int(expert)]
      if slot >= 0 {
        policy.remove(Int(slot))
        order.append(slot)
      } else {
        missing.append(expert)
      }
    }
    let hits = order.count
    policy.beginPass(experts, firstKey: firstKey)
    acquireAhead(firstKey: firstKey, hits: hits)
    var served = 0
    while served < order.count {
      let slot = order[served]
      policy.insert(Int(slot), key: Int(keys[Int(slot)]))
      served += 1
      acquireAhead(firstKey: firstKey, hits: hits)
    }
    return hits
  }

  /// Claims slots for missing experts as long as there are any.
  private mutating func acquireAhead(firstKey: Int, hits: Int) {
    while order.count - hits < missing.count, let slot = policy.popVictim() {
      let key = Int32(firstKey) + missing[order.count - hits]
      if keys[slot] >= 0 { slots[Int(keys[slot])] = -1 }
      keys[slot] = key
      slots[Int(key)] = Int32(slot)
      order.append(Int32(slot))
    }
  }
}
