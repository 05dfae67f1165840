internal import ExpertPack

/// Which slot holds which expert, who uses it and what of it has landed: the store's bookkeeping,
/// without threads, files or memory. Its owner serialises access.
struct SlotTable {
  /// One slot. A slot is listed for eviction exactly when `pins` and `pending` are both 0 and it is
  /// not held.
  struct Slot {
    /// Dense number of the expert it holds, -1 for none.
    var key = -1
    var layer = 0
    var expert = 0
    var reads: [ExpertPlacement.Read] = []
    var slices: [ExpertSlice] = []
    var operations = ReadOperations()
    /// Bit per operation: the queue has, or had it. All of them, but in a slot read ahead.
    var issued: UInt64 = 0
    /// Bit per operation: it has ended.
    var ended: UInt64 = 0
    /// Bit per read: an operation of it failed or came short.
    var faulty: UInt64 = 0
    /// Bit per read: its bytes are in the slot and may be used.
    var landed: UInt64 = 0
    /// Operations queued, running or being checked.
    var pending = 0
    /// Operations and second reads that are queued or running.
    var queued = 0
    /// Users that hold the slot.
    var pins = 0
    /// What went wrong; from then on nothing in the slot may be used.
    var failure: ExpertStoreError?
    /// Its expert was read ahead to warm the cache.
    var isWarm = false
    /// Read ahead, and nobody has asked for it since.
    var isUnused = false
    /// It was filled for a chunk's coming layer, which is no guess: it counts as a miss, not as prefetch.
    var isForChunk = false
    /// Nobody waits for it any more: reads that have not begun are skipped.
    var isAbandoned = false
    /// Kept for the layer that it was read ahead for, which has not begun.
    var isHeld = false
    /// Bytes read ahead of which it is not known yet whether they are of use.
    var aheadBytes = 0

    /// Read ahead for a coming layer, and nobody has asked for it yet.
    var isSpeculative: Bool { isUnused && !isWarm }
  }

  var slots: [Slot]
  var policy: any EvictionPolicy
  /// Slot by dense expert number, -1 when not resident.
  var slotOfExpert: [Int32]
  /// Bit per read by dense expert number: verified in this process.
  private var verified: [UInt64]
  var statistics = StoreStatistics()
  /// Reads in flight over time; `statistics` has them only in copies that are handed out.
  var meter: DiskMeter
  /// Experts to read ahead of their use.
  var warming = WarmList()
  /// Slots listed for eviction that hold nothing: these are evicted before all others.
  var emptySlotCount: Int
  /// Slots that are filled for a coming layer.
  var speculation: Speculation
  /// A slot was claimed while the queue had reads of it at the low priority.
  var hasOverdueReads = false

  init(
    slotCount: Int, expertCount: Int, policy: any EvictionPolicy, speculativeSlots: Int = 0,
    at now: Double
  ) {
    meter = DiskMeter(at: now)
    speculation = Speculation(capacity: speculativeSlots)
    slots = [Slot](repeating: Slot(), count: slotCount)
    self.policy = policy
    emptySlotCount = slotCount
    slotOfExpert = [Int32](repeating: -1, count: expertCount)
    verified = [UInt64](repeating: 0, count: expertCount)
  }

  /// Experts that may be evicted, in the order they would be if nothing more were asked for. Takes a
  /// copy of the policy apart.
  var evictionOrder: [Int32] {
    var rest = policy
    var keys: [Int32] = []
    while let slot = rest.popVictim() {
      if slots[slot].key >= 0 { keys.append(Int32(slots[slot].key)) }
    }
    return keys
  }

  /// Whether a slot could be assigned now.
  var hasFreeSlot: Bool { !policy.isEmpty }

  /// The statistics up to `now`.
  func statistics(at now: Double) -> StoreStatistics {
    var result = statistics
    result.disk = meter.activity(at: now)
    return result
  }

  /// The slot that holds expert `key`, or nil.
  func slot(of key: Int) -> Int? {
    let slot = Int(slotOfExpert[key])
    return slot < 0 ? nil : slot
  }

  /// The policy whose order decides at present.
  var followedPolicy: CachePolicy { policy.followed }

  /// Tells the policy that a pass over distinct `experts` begins whose expert 0 has number
  /// `firstKey`; those of them that are resident have been pinned.
  mutating func beginPass(_ experts: [Int32], firstKey: Int) {
    policy.beginPass(experts, firstKey: firstKey)
  }

  /// Keeps `slot` from being evicted until ``unpin(_:isSpent:)``; what was read ahead is claimed
  /// before.
  mutating func pin(_ slot: Int) {
    precondition(!slots[slot].isUnused)
    policy.remove(slot)
    slots[slot].pins += 1
  }

  /// Gives one pin back, and after the last one lists the slot for eviction: ahead of all experts
  /// that are of value when the expert in it is `spent`. It can be found there until it is evicted.
  mutating func unpin(_ slot: Int, isSpent: Bool = false) {
    precondition(slots[slot].pins > 0)
    slots[slot].pins -= 1
    release(slot, isSpent: isSpent)
  }

  /// Evicts for expert `key` and returns the slot, pinned unless it is being warmed, with all
  /// `operations` pending; nil when every slot is in use.
  mutating func assign(
    key: Int, layer: Int, expert: Int, reads: [ExpertPlacement.Read], operations: ReadOperations,
    isWarming: Bool = false, slices: (_ slot: Int) -> [ExpertSlice]
  ) -> Int? {
    precondition(slotOfExpert[key] < 0)
    guard let slot = policy.popVictim() else { return nil }
    if slots[slot].key < 0 { emptySlotCount -= 1 }
    forget(slot)
    slots[slot] = Slot(
      key: key, layer: layer, expert: expert, reads: reads, slices: slices(slot),
      operations: operations, issued: operations.all, pending: operations.count,
      pins: isWarming ? 0 : 1, isWarm: isWarming, isUnused: isWarming)
    slotOfExpert[key] = Int32(slot)
    return slot
  }

  /// Gives up what has not been read yet of a slot whose last user is about to leave.
  mutating func abandon(_ slot: Int) {
    guard slots[slot].pins == 1, slots[slot].pending > 0 else { return }
    slots[slot].isAbandoned = true
    forget(slot)
  }

  /// The reads that are complete now that an operation has ended.
  struct Arrival {
    /// Bit per read: all its operations have ended, and nobody has looked at the bytes yet.
    var due: UInt64 = 0
    /// Bit per read of `due`: its bytes are not all there.
    var faulty: UInt64 = 0
    /// Bit per read: verified in this process before.
    var verified: UInt64 = 0
  }

  /// Notes that the queue has `count` more reads of `slot`, or fewer.
  mutating func noteQueued(_ count: Int, slot: Int, at now: () -> Double) {
    guard count != 0 else { return }
    slots[slot].queued += count
    if slots[slot].isSpeculative { speculation.reads += count }
    meter.add(count, demand: slots[slot].isUnused ? 0 : count, at: now())
  }

  /// Notes that an operation of `slot`, or a read that was read again, has delivered `bytes`; nil
  /// when it failed. The operation stays pending until ``settle(slot:_:)``. `isAhead` says that it
  /// was begun ahead of demand.
  mutating func arrive(
    slot: Int, tag: ReadTag, bytes: Int?, isAhead: Bool, at now: () -> Double
  ) -> Arrival {
    noteQueued(-1, slot: slot, at: now)
    if isAhead { noteAhead(bytes ?? 0, slot: slot) }
    var state = slots[slot]
    var arrival = Arrival(verified: state.key >= 0 ? verified[state.key] : 0)
    if state.isWarm {
      statistics.warmBytes += bytes ?? 0
    } else {
      statistics.reads += 1
      statistics.bytesRead += bytes ?? 0
    }
    let filled: Range<Int>
    let reads: Range<Int>
    if tag.isRetry {
      let read = state.reads[tag.index]
      reads = tag.index..<tag.index + 1
      filled = read.slotOffset..<read.slotOffset + read.length
      state.faulty &= ~(1 << UInt64(tag.index))
    } else {
      reads = state.operations.reads(of: tag.index)
      filled = state.operations.slotBytes(of: tag.index, state.reads)
      state.ended |= 1 << UInt64(tag.index)
    }
    for read in reads {
      let needed = min(state.reads[read].payload.upperBound, filled.upperBound)
      if filled.lowerBound + (bytes ?? -1) < needed { state.faulty |= 1 << UInt64(read) }
      let mask = state.operations.mask(of: read)
      if state.ended & mask == mask { arrival.due |= 1 << UInt64(read) }
    }
    arrival.faulty = state.faulty & arrival.due
    slots[slot].ended = state.ended
    slots[slot].faulty = state.faulty
    return arrival
  }

  /// What became of the reads of an operation.
  struct Verdict {
    /// Bit per read: good.
    var landed: UInt64 = 0
    /// Bit per read: good by its checksum.
    var verified: UInt64 = 0
    var verifiedBytes = 0
    /// Bit per read: to be read once more.
    var again: UInt64 = 0
    /// What is wrong for good.
    var failure: ExpertStoreError?
  }

  /// Ends an operation of `slot`.
  /// - Returns: Bit per read that is to be read once more; each is pending now.
  mutating func settle(slot: Int, _ verdict: Verdict, at now: () -> Double) -> UInt64 {
    slots[slot].landed |= verdict.landed
    statistics.verifiedBytes += verdict.verifiedBytes
    let key = slots[slot].key
    if key >= 0 { verified[key] |= verdict.verified }
    if let failure = verdict.failure {
      if slots[slot].failure == nil { slots[slot].failure = failure }
      forget(slot)
    }
    // Nobody waits for what was read ahead: the read on demand will find out what is wrong.
    if verdict.again != 0, slots[slot].isSpeculative { giveUp(slot) }
    let isWanted = !slots[slot].isAbandoned && slots[slot].failure == nil
    let again = isWanted ? verdict.again : 0
    statistics.rereads += again.nonzeroBitCount
    slots[slot].pending += again.nonzeroBitCount - 1
    noteQueued(again.nonzeroBitCount, slot: slot, at: now)
    if slots[slot].isWarm, slots[slot].pending == 0 {
      warming.end()
      if slots[slot].key >= 0 { statistics.warmExperts += 1 }
    }
    release(slot)
    return again
  }

  /// Takes the slot's expert out of the table: nobody finds it there any more.
  mutating func forget(_ slot: Int) {
    let key = slots[slot].key
    guard key >= 0 else { return }
    if slots[slot].isSpeculative {
      statistics.prefetch.wastedBytes += slots[slot].aheadBytes
      slots[slot].aheadBytes = 0
    }
    slotOfExpert[key] = -1
    slots[slot].key = -1
  }

  /// Lists the slot for eviction once nobody uses it, nothing writes to it and no layer is to come that
  /// it was filled for.
  mutating func release(_ slot: Int, isSpent: Bool = false) {
    guard slots[slot].pins == 0, slots[slot].pending == 0, !slots[slot].isHeld else { return }
    if slots[slot].isSpeculative { speculation.slotCount -= 1 }
    let key = slots[slot].key
    if key < 0 {
      emptySlotCount += 1
      policy.insert(slot, key: nil)
    } else if slots[slot].isUnused {
      policy.insertUnused(slot, key: key)
    } else {
      policy.insert(slot, key: isSpent ? nil : key)
    }
  }
}
