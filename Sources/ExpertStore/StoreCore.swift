internal import ExpertPack
internal import FileIO

/// What the store's users and its read threads share.
final class StoreCore: Sendable {
  /// One read of the expert in a slot.
  struct Job: Sendable {
    let slot: Int
    let read: Int
  }

  let source: ExpertSource
  let slotCount: Int
  let slotBytes: Int
  /// First dense expert number of every layer.
  private let firstKey: [Int]
  private let reader: SliceReader
  private let verification: ReadVerification
  private let memory: AlignedBuffer  // [slotCount, slotBytes]
  let table: Monitor<SlotTable>
  let queue = WorkQueue<Job>()

  init(
    source: ExpertSource, slotCount: Int, slotBytes: Int, verification: ReadVerification,
    policy: CachePolicy
  ) throws {
    self.source = source
    self.slotCount = slotCount
    self.slotBytes = slotBytes
    self.verification = verification
    var keys: [Int] = []
    var total = 0
    for count in source.expertCounts {
      keys.append(total)
      total += count
    }
    firstKey = keys
    reader = try SliceReader(source: source)
    memory = try AlignedBuffer(count: slotCount * slotBytes)
    table = Monitor(
      SlotTable(
        slotCount: slotCount, expertCount: total,
        policy: policy.makePolicy(
          slotCount: slotCount, keyCount: total,
          layerCount: source.expertCounts.count { $0 > 0 },
          largestPass: source.expertCounts.max() ?? 0)))
  }

  func key(layer: Int, expert: Int) -> Int {
    precondition(source.expertCounts.indices.contains(layer), "layer \(layer) has no experts")
    precondition(
      (0..<source.expertCounts[layer]).contains(expert), "layer \(layer) has no expert \(expert)")
    return firstKey[layer] + expert
  }

  private func address(_ slot: Int) -> UnsafeMutableRawPointer {
    guard let base = memory.bytes.baseAddress else { preconditionFailure("no slot memory") }
    return base + slot * slotBytes
  }

  /// Finds or makes room for an expert and pins its slot; queues the reads that it needs.
  /// - Returns: The slot, and whether the expert was there already; nil when every slot is in use.
  func acquire(
    layer: Int, expert: Int, in table: inout SlotTable
  ) throws -> (slot: Int, hit: Bool)? {
    let key = key(layer: layer, expert: expert)
    if let slot = table.slot(of: key) {
      table.pin(slot)
      return (slot, true)
    }
    guard table.hasFreeSlot else { return nil }
    let placement = source.placement(layer, expert)
    try reader.validate(placement, layer: layer, expert: expert, slotBytes: slotBytes)
    let slot = table.assign(key: key, layer: layer, expert: expert, reads: placement.reads) {
      slot in
      placement.slices.map { ExpertSlice($0, slot: address(slot)) }
    }
    guard let slot else { return nil }
    table.statistics.expertsRead += 1
    for read in placement.reads.indices { queue.push(Job(slot: slot, read: read)) }
    return (slot, false)
  }

  /// Waits until the reads in `mask` have landed in `slot`; throws what went wrong with any read
  /// of the slot.
  func wait(slot: Int, mask: UInt64) throws {
    func isBlocked(_ table: borrowing SlotTable) -> Bool {
      // Two statements: the right side of && is a closure, which cannot borrow.
      if table.slots[slot].failure != nil { return false }
      return table.slots[slot].landed & mask != mask
    }
    let isReady = try table.withLock { table in
      if let failure = table.slots[slot].failure { throw failure }
      return !isBlocked(table)
    }
    guard !isReady else { return }
    let clock = ContinuousClock()
    let start = clock.now
    try table.wait(while: isBlocked) { table in
      table.statistics.stallSeconds += (clock.now - start).seconds
      if let failure = table.slots[slot].failure { throw failure }
    }
  }

  /// What a read thread does until the queue closes.
  func serve() {
    while let job = queue.pop() {
      let (slot, wanted, verified) = table.withLock { table in
        let (wanted, verified) = table.isWanted(slot: job.slot, read: job.read)
        return (table.slots[job.slot], wanted, verified)
      }
      var result: Result<SliceReader.Report, ExpertStoreError>?
      if wanted {
        let verify: Bool
        switch verification {
        case .always: verify = true
        case .first: verify = !verified
        case .off: verify = false
        }
        result = reader.read(
          slot.reads[job.read], slot: address(job.slot), verify: verify, layer: slot.layer,
          expert: slot.expert, index: job.read)
      }
      table.withLock { $0.finish(slot: job.slot, read: job.read, result) }
      table.wakeAll()
    }
  }
}

extension Duration {
  /// The duration in seconds.
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
