/// Reads ahead of demand: which slots wait for the layer that they were filled for, and which reads
/// of theirs come next.
///
/// A plan names slots for one coming layer. It lasts until the next pass begins, which takes what it
/// wants of them and gives the others up.
struct Speculation {
  /// Reads ahead that the queue may have at once where demand may come at any time. Two keep a disk
  /// near its peak rate (one reader of half a megabyte or more reaches most of it), and no demand ever
  /// waits for more than two.
  static let tokenReads = 2
  /// Reads ahead at once for a chunk, whose demand comes when the mixer is done and is for the same
  /// experts.
  static let chunkReads = 16

  /// Most slots that may be out of the eviction order because of reads ahead.
  let capacity: Int
  /// Slots that are now.
  var slotCount = 0
  /// Reads that the queue has.
  var reads = 0
  /// Reads that the queue may have.
  var readLimit = Speculation.tokenReads
  /// Slots of the plan, most likely expert first.
  var plan: [Int32] = []
  /// Position in the plan before which all reads are queued.
  var cursor = 0

  init(capacity: Int) {
    self.capacity = max(0, capacity)
    plan.reserveCapacity(min(self.capacity, 64))
  }
}

extension SlotTable {
  /// Takes expert `key` into the plan: assigns it the coldest slot, or keeps the slot that an
  /// earlier plan has filled for it. Nothing happens when it is in the cache anyway.
  /// - Parameters:
  ///   - key: Dense number of the expert.
  ///   - isPredicted: Whether an expert is one of those that the plan is for.
  ///   - fill: The state of a slot that is to hold the expert, before any of its operations is
  ///     queued; nil when the expert cannot be read.
  /// - Returns: False when no more experts can be taken in.
  mutating func plan(
    key: Int, isPredicted: (_ key: Int) -> Bool, fill: (_ slot: Int) -> Slot?
  ) -> Bool {
    if let slot = slot(of: key) {
      guard slots[slot].isSpeculative, !slots[slot].isHeld else { return true }
      if slots[slot].pending == 0 {
        guard speculation.slotCount < speculation.capacity else { return false }
        policy.remove(slot)
        speculation.slotCount += 1
      }
      slots[slot].isHeld = true
      speculation.plan.append(Int32(slot))
      return true
    }
    // The coldest slot or none: when it holds an expert that is predicted itself, all others are
    // worth more.
    guard speculation.slotCount < speculation.capacity, let slot = policy.victim,
      slots[slot].key < 0 || !isPredicted(slots[slot].key)
    else { return false }
    guard var state = fill(slot) else { return true }
    policy.remove(slot)
    if slots[slot].key < 0 { emptySlotCount -= 1 }
    forget(slot)
    state.isUnused = true
    state.isHeld = true
    slots[slot] = state
    slotOfExpert[key] = Int32(slot)
    speculation.slotCount += 1
    speculation.plan.append(Int32(slot))
    return true
  }

  /// The next read ahead, now in the queue's hands as far as the table knows; nil while demand has
  /// reads in the queue, when enough reads ahead are under way, or when none is left.
  mutating func nextSpeculativeOperation(
    at now: () -> Double
  ) -> (slot: Int, operation: Int)? {
    guard meter.isIdle, speculation.reads < speculation.readLimit else { return nil }
    while speculation.cursor < speculation.plan.count {
      let slot = Int(speculation.plan[speculation.cursor])
      let issued = slots[slot].issued
      if slots[slot].isHeld, slots[slot].operations.all & ~issued != 0 {
        if issued == 0, !slots[slot].isForChunk { statistics.prefetch.experts += 1 }
        let operation = (~issued).trailingZeroBitCount
        slots[slot].issued |= 1 << UInt64(operation)
        slots[slot].pending += 1
        noteQueued(1, slot: slot, at: now)
        return (slot, operation)
      }
      speculation.cursor += 1
    }
    return nil
  }

  /// Whether there are reads ahead to begin or to go on with.
  var hasSpeculativeOperations: Bool { speculation.cursor < speculation.plan.count }

  /// Ends the plan. Its slots that nobody has pinned go: at once when some of their reads were not
  /// queued yet, else as soon as they have landed they may be evicted.
  /// - Returns: Whether the queue may have reads ahead.
  mutating func endPlan() -> Bool {
    for entry in speculation.plan {
      let slot = Int(entry)
      guard slots[slot].isHeld else { continue }
      slots[slot].isHeld = false
      if slots[slot].issued != slots[slot].operations.all { giveUp(slot) }
      release(slot)
    }
    speculation.plan.removeAll(keepingCapacity: true)
    speculation.cursor = 0
    defer { hasOverdueReads = false }
    return speculation.reads > 0 || hasOverdueReads
  }

  /// Turns a slot that was read ahead into one that somebody waits for. The reads that the queue has
  /// are demand from now on; the caller queues the others.
  mutating func claim(_ slot: Int, at now: () -> Double) {
    precondition(slots[slot].isUnused)
    let queued = slots[slot].queued
    if slots[slot].isSpeculative {
      if slots[slot].isHeld || slots[slot].pending > 0 { speculation.slotCount -= 1 }
      if !slots[slot].isForChunk {
        statistics.prefetch.usefulBytes += slots[slot].aheadBytes
        statistics.prefetch.usefulExperts += 1
      }
      slots[slot].aheadBytes = 0
      slots[slot].isHeld = false
      speculation.reads -= queued
      if queued > 0 { hasOverdueReads = true }
    }
    slots[slot].isUnused = false
    if queued > 0 { meter.add(0, demand: queued, at: now()) }
  }

  /// Takes over the operations of `slot` that no queue has, for the caller to queue as demand.
  /// - Returns: Bit per operation.
  mutating func takeRest(of slot: Int, at now: () -> Double) -> UInt64 {
    let rest = slots[slot].operations.all & ~slots[slot].issued
    slots[slot].issued |= rest
    slots[slot].pending += rest.nonzeroBitCount
    noteQueued(rest.nonzeroBitCount, slot: slot, at: now)
    return rest
  }

  /// Makes nothing of what was read ahead into `slot`, which nobody uses.
  mutating func giveUp(_ slot: Int) {
    forget(slot)
    slots[slot].isHeld = false
    slots[slot].isAbandoned = true
  }

  /// Notes that a read of `slot` was cancelled before it began. `isAhead` says that it was queued for
  /// a coming layer.
  /// - Returns: Whether it is to be queued again, because by now somebody waits for it; it is still
  ///   pending then.
  mutating func noteCancelled(slot: Int, isAhead: Bool, at now: () -> Double) -> Bool {
    if isAhead, !slots[slot].isUnused, !slots[slot].isAbandoned, slots[slot].failure == nil {
      return true
    }
    noteQueued(-1, slot: slot, at: now)
    if slots[slot].isSpeculative, !slots[slot].isForChunk {
      statistics.prefetch.cancelledReads += 1
    }
    // What was to be read is not there, and nobody waits for it.
    if slots[slot].pins == 0 { giveUp(slot) }
    return false
  }

  /// Accounts for `bytes` that a read begun ahead of demand has delivered into `slot`.
  mutating func noteAhead(_ bytes: Int, slot: Int) {
    guard !slots[slot].isForChunk else { return }
    statistics.prefetch.bytes += bytes
    if !slots[slot].isSpeculative {
      statistics.prefetch.usefulBytes += bytes
    } else if slots[slot].key < 0 {
      statistics.prefetch.wastedBytes += bytes
    } else {
      slots[slot].aheadBytes += bytes
    }
  }
}
