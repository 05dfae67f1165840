internal import ExpertPack

/// Which slot holds which expert, who uses it and what of it has landed: the store's bookkeeping,
/// without threads, files or memory. Its owner serialises access.
struct SlotTable {
  /// One slot. A slot is listed for eviction exactly when `pins` and `pending` are both 0.
  struct Slot {
    /// Dense number of the expert it holds, -1 for none.
    var key = -1
    var layer = 0
    var expert = 0
    var reads: [ExpertPlacement.Read] = []
    var slices: [ExpertSlice] = []
    var operations = ReadOperations()
    /// Bit per operation: it has ended.
    var ended: UInt64 = 0
    /// Bit per read: an operation of it failed or came short.
    var faulty: UInt64 = 0
    /// Bit per read: its bytes are in the slot and may be used.
    var landed: UInt64 = 0
    /// Operations queued, running or being checked.
    var pending = 0
    /// Users that hold the slot.
    var pins = 0
    /// What went wrong; from then on nothing in the slot may be used.
    var failure: ExpertStoreError?
    /// Its expert was read ahead of any use.
    var isWarm = false
    /// Read ahead, and nobody has used it since.
    var isUnused = false
    /// Nobody waits for it any more: reads that have not begun are skipped.
    var isAbandoned = false
  }

  private(set) var slots: [Slot]
  private var policy: any EvictionPolicy
  /// Slot by dense expert number, -1 when not resident.
  private var slotOfExpert: [Int32]
  /// Bit per read by dense expert number: verified in this process.
  private var verified: [UInt64]
  var statistics = StoreStatistics()
  /// Reads in flight over time; `statistics` has them only in copies that are handed out.
  var meter = DiskMeter()
  /// Experts to read ahead of their use.
  var warming = WarmList()
  /// Slots listed for eviction that hold nothing: these are evicted before all others.
  private(set) var emptySlotCount: Int

  init(slotCount: Int, expertCount: Int, policy: any EvictionPolicy) {
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

  /// Keeps `slot` from being evicted until ``unpin(_:)``.
  mutating func pin(_ slot: Int) {
    policy.remove(slot)
    slots[slot].pins += 1
    slots[slot].isUnused = false
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
      operations: operations, pending: operations.count,
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

  /// Notes that an operation of `slot`, or a read that was read again, has delivered `bytes`; nil
  /// when it failed. The operation stays pending until ``settle(slot:_:)``.
  mutating func arrive(slot: Int, tag: ReadTag, bytes: Int?) -> Arrival {
    var state = slots[slot]
    var arrival = Arrival(verified: state.key >= 0 ? verified[state.key] : 0)
    meter.add(-1, at: .now)
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
    /// The operation never began.
    var isCancelled = false
    /// What is wrong for good.
    var failure: ExpertStoreError?
  }

  /// Ends an operation of `slot`.
  /// - Returns: Bit per read that is to be read once more; each is pending now.
  mutating func settle(slot: Int, _ verdict: Verdict) -> UInt64 {
    slots[slot].landed |= verdict.landed
    statistics.verifiedBytes += verdict.verifiedBytes
    let key = slots[slot].key
    if key >= 0 { verified[key] |= verdict.verified }
    if let failure = verdict.failure {
      if slots[slot].failure == nil { slots[slot].failure = failure }
      forget(slot)
    }
    if verdict.isCancelled {
      meter.add(-1, at: .now)
      // What was to be read ahead is not there, and nobody waits for it.
      if slots[slot].pins == 0 { forget(slot) }
    }
    let isWanted = !slots[slot].isAbandoned && slots[slot].failure == nil
    let again = isWanted ? verdict.again : 0
    statistics.rereads += again.nonzeroBitCount
    slots[slot].pending += again.nonzeroBitCount - 1
    if again != 0 { meter.add(again.nonzeroBitCount, at: .now) }
    if slots[slot].isWarm, slots[slot].pending == 0 {
      warming.end()
      if slots[slot].key >= 0 { statistics.warmExperts += 1 }
    }
    release(slot)
    return again
  }

  /// Takes the slot's expert out of the table: nobody finds it there any more.
  private mutating func forget(_ slot: Int) {
    let key = slots[slot].key
    guard key >= 0 else { return }
    slotOfExpert[key] = -1
    slots[slot].key = -1
  }

  /// Lists the slot for eviction once nobody uses it and nothing writes to it.
  private mutating func release(_ slot: Int, isSpent: Bool = false) {
    guard slots[slot].pins == 0, slots[slot].pending == 0 else { return }
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
