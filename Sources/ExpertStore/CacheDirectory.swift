/// A cache without its data: what ``ExpertStore`` would hold, hit and evict if it were given the
/// same passes by one user.
///
/// Passes are served as the store serves them. For ``serve(_:firstKey:)`` resident experts are pinned
/// and come first, the others claim slots in the order asked for, and every expert gives its slot
/// back before the next one is served. ``serveChunk(_:firstKey:)`` keeps the order; it does not read
/// the next layer of a chunk ahead, as the store does. Nothing is allocated once a pass of the
/// largest size was served.
package struct CacheDirectory: Sendable {
  private var policy: any EvictionPolicy
  /// By dense expert number: its slot, -1 when not resident.
  private var slots: [Int32]
  /// By slot: the expert it holds, -1 for none.
  private var keys: [Int32]
  /// By slot: read ahead, and not asked for yet.
  private var isAhead: [Bool]
  /// Slots kept for the layer that they were filled for.
  private var plan: [Int32] = []
  /// Experts read ahead, and those of them that were asked for, or evicted before they were.
  package private(set) var ahead = (experts: 0, useful: 0, wasted: 0)
  /// Scratch: slots of the pass in serving order, and its missing experts.
  private var order: [Int32] = []
  private var missing: [Int32] = []
  /// Scratch of a chunk: slot of every expert so far and -1 before, and how it got it.
  private var claims: [Claim] = []
  private let layerCount: Int
  /// Slots that hold nothing.
  private var emptyCount: Int

  /// How an expert of a chunk got its slot.
  private struct Claim {
    var slot: Int32 = -1
    var isAhead = false
    var isRead = false
  }

  /// An empty cache of `slotCount` slots; the other sizes are those of
  /// ``CachePolicy/makePolicy(slotCount:keyCount:layerCount:largestPass:)``.
  package init(
    policy: CachePolicy, slotCount: Int, keyCount: Int, layerCount: Int, largestPass: Int
  ) {
    self.policy = policy.makePolicy(
      slotCount: slotCount, keyCount: keyCount, layerCount: layerCount, largestPass: largestPass)
    slots = [Int32](repeating: -1, count: keyCount)
    keys = [Int32](repeating: -1, count: slotCount)
    self.layerCount = layerCount
    emptyCount = slotCount
    isAhead = [Bool](repeating: false, count: slotCount)
    order.reserveCapacity(largestPass)
    missing.reserveCapacity(largestPass)
    claims.reserveCapacity(largestPass)
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
        claim(Int(slot))
        order.append(slot)
      } else {
        missing.append(expert)
      }
    }
    let hits = order.count
    endPlan()
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

  /// Reads `experts` of a coming layer ahead, best first, as far as they are missing, as the store
  /// does when the disk has the time for all of them before the layer begins.
  /// - Parameters:
  ///   - experts: Distinct ids of the layer whose expert 0 has number `firstKey`.
  ///   - firstKey: Number of the layer's expert 0.
  ///   - capacity: Most slots to keep for them.
  package mutating func prefetch(_ experts: [Int32], firstKey: Int, capacity: Int) {
    endPlan()
    for expert in experts {
      let key = firstKey + Int(expert)
      let held = Int(slots[key])
      if held >= 0 {
        guard isAhead[held] else { continue }
        guard plan.count < capacity else { return }
        policy.remove(held)
        plan.append(Int32(held))
        continue
      }
      guard plan.count < capacity, let victim = policy.victim,
        !experts.contains(Int32(truncatingIfNeeded: Int(keys[victim]) - firstKey)),
        let slot = policy.popVictim()
      else { return }
      fill(slot, key: Int32(key))
      isAhead[slot] = true
      ahead.experts += 1
      plan.append(Int32(slot))
    }
  }

  /// Gives up what was read ahead for a pass that did not ask for it.
  private mutating func endPlan() {
    for slot in plan where isAhead[Int(slot)] {
      policy.insertUnused(Int(slot), key: Int(keys[Int(slot)]))
    }
    plan.removeAll(keepingCapacity: true)
  }

  /// Notes that the expert in `slot` was asked for.
  private mutating func claim(_ slot: Int) {
    guard isAhead[slot] else { return }
    isAhead[slot] = false
    ahead.useful += 1
  }

  /// Claims slots for missing experts as long as there are any.
  private mutating func acquireAhead(firstKey: Int, hits: Int) {
    while order.count - hits < missing.count, let slot = policy.popVictim() {
      fill(slot, key: Int32(firstKey) + missing[order.count - hits])
      order.append(Int32(slot))
    }
  }

  /// Serves a chunk of a prompt over distinct `experts`, as ``ChunkRing`` says.
  /// - Returns: How many of them were held when their turn for a slot came.
  package mutating func serveChunk(_ experts: [Int32], firstKey: Int) -> Int {
    let ring = ChunkRing(
      expertCount: experts.count, layerCount: layerCount, slotCount: keys.count)
    claims.removeAll(keepingCapacity: true)
    var hits = 0
    for expert in experts {
      let slot = hits < ring.keptHits ? slots[firstKey + Int(expert)] : -1
      claims.append(Claim(slot: slot))
      guard slot >= 0 else { continue }
      policy.remove(Int(slot))
      claim(Int(slot))
      hits += 1
    }
    endPlan()
    policy.beginPass(experts, firstKey: firstKey)
    var (acquired, ahead) = (0, 0)
    for served in experts.indices {
      while acquired < experts.count {
        if claims[acquired].slot < 0 {
          guard ahead < ring.depth else { break }
          let key = firstKey + Int(experts[acquired])
          if slots[key] >= 0 {
            policy.remove(Int(slots[key]))
            claim(Int(slots[key]))
            claims[acquired] = Claim(slot: slots[key], isAhead: true)
            hits += 1
          } else {
            guard let slot = policy.popVictim() else { break }
            fill(slot, key: Int32(key))
            claims[acquired] = Claim(slot: Int32(slot), isAhead: true, isRead: true)
          }
          ahead += 1
        }
        acquired += 1
      }
      let claim = claims[served]
      if claim.isAhead { ahead -= 1 }
      let isSpent = ring.isScan && claim.isRead && emptyCount == 0
      policy.insert(Int(claim.slot), key: isSpent ? nil : Int(keys[Int(claim.slot)]))
    }
    return hits
  }

  /// Puts expert `key` into a slot that the policy has given up.
  private mutating func fill(_ slot: Int, key: Int32) {
    if keys[slot] >= 0 { slots[Int(keys[slot])] = -1 } else { emptyCount -= 1 }
    if isAhead[slot] {
      isAhead[slot] = false
      ahead.wasted += 1
    }
    keys[slot] = key
    slots[Int(key)] = Int32(slot)
  }
}
