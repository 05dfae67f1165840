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
    /// Bit per read: its bytes are in the slot and may be used.
    var landed: UInt64 = 0
    /// Reads queued or running.
    var pending = 0
    /// Users that hold the slot.
    var pins = 0
    /// What went wrong; from then on nothing in the slot may be used.
    var failure: ExpertStoreError?
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

  init(slotCount: Int, expertCount: Int, policy: any EvictionPolicy) {
    slots = [Slot](repeating: Slot(), count: slotCount)
    self.policy = policy
    slotOfExpert = [Int32](repeating: -1, count: expertCount)
    verified = [UInt64](repeating: 0, count: expertCount)
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
  }

  /// Gives one pin back, and after the last one lists the slot for eviction.
  mutating func unpin(_ slot: Int) {
    precondition(slots[slot].pins > 0)
    slots[slot].pins -= 1
    settle(slot)
  }

  /// Evicts for expert `key` and returns the slot, pinned, with all of `reads` pending; nil when
  /// every slot is in use.
  mutating func assign(
    key: Int, layer: Int, expert: Int, reads: [ExpertPlacement.Read],
    slices: (_ slot: Int) -> [ExpertSlice]
  ) -> Int? {
    precondition(slotOfExpert[key] < 0)
    guard let slot = policy.popVictim() else { return nil }
    forget(slot)
    slots[slot] = Slot(
      key: key, layer: layer, expert: expert, reads: reads, slices: slices(slot),
      pending: reads.count, pins: 1)
    slotOfExpert[key] = Int32(slot)
    return slot
  }

  /// Gives up what has not been read yet of a slot whose last user is about to leave.
  mutating func abandon(_ slot: Int) {
    guard slots[slot].pins == 1, slots[slot].pending > 0 else { return }
    slots[slot].isAbandoned = true
    forget(slot)
  }

  /// Whether read `read` of `slot` is still wanted, and whether its checksum was seen right before.
  func isWanted(slot: Int, read: Int) -> (wanted: Bool, verified: Bool) {
    let state = slots[slot]
    guard !state.isAbandoned, state.failure == nil, state.key >= 0 else { return (false, false) }
    return (true, verified[state.key] & (1 << UInt64(read)) != 0)
  }

  /// Ends read `read` of `slot`: landed and good, failed, or (nil) skipped.
  mutating func finish(
    slot: Int, read: Int, _ result: Result<SliceReader.Report, ExpertStoreError>?
  ) {
    slots[slot].pending -= 1
    switch result {
    case .success(let report):
      slots[slot].landed |= 1 << UInt64(read)
      statistics.reads += 1
      statistics.bytesRead += report.bytesRead
      statistics.verifiedBytes += report.verifiedBytes
      let key = slots[slot].key
      if report.verifiedBytes > 0, key >= 0 { verified[key] |= 1 << UInt64(read) }
    case .failure(let error):
      statistics.reads += 1
      if slots[slot].failure == nil { slots[slot].failure = error }
      forget(slot)
    case nil:
      break
    }
    settle(slot)
  }

  /// Takes the slot's expert out of the table: nobody finds it there any more.
  private mutating func forget(_ slot: Int) {
    let key = slots[slot].key
    guard key >= 0 else { return }
    slotOfExpert[key] = -1
    slots[slot].key = -1
  }

  /// Lists the slot for eviction once nobody uses it and nothing writes to it.
  private mutating func settle(_ slot: Int) {
    guard slots[slot].pins == 0, slots[slot].pending == 0 else { return }
    policy.insert(slot, key: slots[slot].key >= 0 ? slots[slot].key : nil)
  }
}
