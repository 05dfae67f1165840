internal import ExpertPack
package import FileIO

/// What the store's users and its read queue share.
final class StoreCore: ReadCompletion {
  let source: ExpertSource
  let slotCount: Int
  let slotBytes: Int
  /// Layers with experts.
  let layerCount: Int
  /// First dense expert number of every layer.
  private let firstKey: [Int]
  let reader: SliceReader
  private let verification: ReadVerification
  private let memory: AlignedBuffer  // [slotCount, slotBytes]
  let split: Int
  let features: StoreFeatures
  let table: Monitor<SlotTable>
  let queue: any ReadQueue
  let now: MonotonicSeconds

  init(
    source: ExpertSource, slotCount: Int, slotBytes: Int, verification: ReadVerification,
    split: Int, policy: CachePolicy, features: StoreFeatures, speculativeSlots: Int,
    now: @escaping MonotonicSeconds, makeQueue: ReadQueueFactory
  ) throws {
    self.now = now
    self.source = source
    self.slotCount = slotCount
    self.slotBytes = slotBytes
    layerCount = source.expertCounts.count { $0 > 0 }
    self.verification = verification
    var keys: [Int] = []
    var total = 0
    for count in source.expertCounts {
      keys.append(total)
      total += count
    }
    firstKey = keys
    reader = try SliceReader(source: source)
    memory = try AlignedBuffer(
      count: slotCount * slotBytes, usesHugePages: features.contains(.hugePages))
    self.features = features
    table = Monitor(
      SlotTable(
        slotCount: slotCount, expertCount: total,
        policy: policy.makePolicy(
          slotCount: slotCount, keyCount: total,
          layerCount: layerCount, largestPass: source.expertCounts.max() ?? 0),
        speculativeSlots: speculativeSlots, at: now()))
    self.split = split
    queue = try makeQueue(reader.files, memory.bytes, slotBytes)
    let depth = queue.depth
    table.withLock { $0.meter.depth = depth }
  }

  func key(layer: Int, expert: Int) -> Int {
    precondition(source.expertCounts.indices.contains(layer), "layer \(layer) has no experts")
    precondition(
      (0..<source.expertCounts[layer]).contains(expert), "layer \(layer) has no expert \(expert)")
    return firstKey[layer] + expert
  }

  /// The expert with dense number `key`.
  func expert(of key: Int) -> ExpertID {
    // The last layer that begins at or before the key; layers without experts begin where the next
    // one does.
    var (low, high) = (0, firstKey.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if firstKey[middle] <= key { low = middle } else { high = middle }
    }
    return ExpertID(layer: low, expert: key - firstKey[low])
  }

  /// Gives all slots their pages.
  func populate() {
    let step = max(slotBytes, 32 << 20)
    for start in stride(from: 0, to: memory.count, by: step) {
      memory.populate(start..<min(memory.count, start + step))
    }
  }

  func address(_ slot: Int) -> UnsafeMutableRawPointer {
    guard let base = memory.bytes.baseAddress else { preconditionFailure("no slot memory") }
    return base + slot * slotBytes
  }

  /// The slices of an expert placed like this when it is in `slot`.
  func slices(of placement: ExpertPlacement, slot: Int) -> [ExpertSlice] {
    let alsoNeeded: UInt64 =
      features.contains(.sliceReadiness) ? 0 : (1 << UInt64(placement.reads.count)) - 1
    return placement.slices.map {
      ExpertSlice($0, slot: address(slot), alsoNeeded: alsoNeeded)
    }
  }

  /// Finds or makes room for an expert and pins its slot; queues the reads that it needs.
  /// - Returns: The slot, and whether the expert was there already; nil when every slot is in use.
  func acquire(
    layer: Int, expert: Int, in table: inout SlotTable
  ) throws -> (slot: Int, hit: Bool)? {
    let key = key(layer: layer, expert: expert)
    if let slot = table.slot(of: key) {
      pin(slot, in: &table)
      return (slot, true)
    }
    guard table.hasFreeSlot else { return nil }
    guard let slot = try begin(layer: layer, expert: expert, isWarming: false, in: &table) else {
      return nil
    }
    table.statistics.expertsRead += 1
    return (slot, false)
  }

  /// Makes room for an expert that is in no slot and queues its reads. The slot is pinned for the
  /// caller, unless it is being warmed.
  /// - Returns: The slot; nil when every slot is in use.
  func begin(
    layer: Int, expert: Int, isWarming: Bool, in table: inout SlotTable
  ) throws -> Int? {
    let placement = source.placement(layer, expert)
    try reader.validate(placement, layer: layer, expert: expert, slotBytes: slotBytes)
    let operations = ReadOperations(placement.reads, split: split)
    let slot = table.assign(
      key: key(layer: layer, expert: expert), layer: layer, expert: expert,
      reads: placement.reads, operations: operations, isWarming: isWarming
    ) { slices(of: placement, slot: $0) }
    guard let slot else { return nil }
    table.noteQueued(operations.count, slot: slot, at: now)
    for operation in 0..<operations.count {
      submit(
        operation, operations, placement.reads, slot: slot,
        priority: isWarming ? .background : .demand)
    }
    return slot
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
      let isReady = !isBlocked(table)
      if !isReady { table.meter.beginStall(at: now()) }
      return isReady
    }
    guard !isReady else { return }
    try table.wait(while: isBlocked) { table in
      table.meter.endStall(at: now())
      if let failure = table.slots[slot].failure { throw failure }
    }
  }

  /// Lets reads of `slot` that have not begun fall away. The caller sees to it that the slot is not
  /// given to another expert meanwhile, whose reads would fall away too.
  func cancelReads(of slot: Int) {
    queue.cancel { ReadTag(rawValue: $0.tag).slot == slot }
  }

  /// Queues `operation` of an expert with these reads.
  func submit(
    _ operation: Int, _ operations: ReadOperations, _ reads: [ExpertPlacement.Read], slot: Int,
    priority: ReadPriority
  ) {
    submit(
      reads[operations.reads(of: operation).lowerBound],
      bytes: operations.slotBytes(of: operation, reads),
      tag: ReadTag(slot: slot, index: operation, isRetry: false), priority: priority)
  }

  /// Reads `bytes` of a slot from the file of `read`, in which they lie where `read` has them.
  private func submit(
    _ read: ExpertPlacement.Read, bytes: Range<Int>, tag: ReadTag, priority: ReadPriority
  ) {
    queue.submit(
      ReadRequest(
        file: reader.files[read.file],
        offset: read.offset + UInt64(bytes.lowerBound - read.slotOffset),
        target: UnsafeMutableRawBufferPointer(
          start: address(tag.slot) + bytes.lowerBound, count: bytes.count),
        priority: priority, tag: tag.rawValue, completion: self))
  }

  /// Checks what has landed, on the thread that completed the read. With the pool checksums run in
  /// parallel. With io_uring one thread hashes while the reads behind it go on: it keeps up with
  /// 6.5 GB/s, measured at 150 ms of hashing a GB, and a disk that is faster makes the probe choose
  /// the pool.
  func readEnded(_ request: ReadRequest, _ outcome: ReadOutcome) {
    let tag = ReadTag(rawValue: request.tag)
    var verdict = SlotTable.Verdict()
    var reads: [ExpertPlacement.Read] = []
    let isAhead = request.priority == .speculative
    switch outcome {
    case .cancelled:
      if noteCancelled(request, tag) { return }
    case .read, .failed:
      var bytes: Int?
      if case .read(let count) = outcome { bytes = count }
      let seconds = request.began.map { (ContinuousClock.now - $0).seconds } ?? 0
      let (slot, arrival, isToReadAhead) = table.withLock { table in
        table.meter.deliver(bytes ?? 0, seconds: seconds, at: now())
        let arrival = table.arrive(
          slot: tag.slot, tag: tag, bytes: bytes, isAhead: isAhead, at: now)
        return (table.slots[tag.slot], arrival, table.hasSpeculativeOperations)
      }
      reads = slot.reads
      // Before the bytes are checked, so that the disk goes on meanwhile.
      if isToReadAhead { readAhead() }
      for index in reads.indices where arrival.due & (1 << UInt64(index)) != 0 {
        let bit: UInt64 = 1 << UInt64(index)
        let read = reads[index]
        var fault: SliceReader.Fault?
        if arrival.faulty & bit != 0 {
          fault = transferFault(outcome, at: request.offset)
        } else if isToVerify(read, wasVerified: arrival.verified & bit != 0) {
          fault = reader.mismatch(read, slot: address(tag.slot))
          if fault == nil {
            verdict.verified |= bit
            verdict.verifiedBytes += read.payload.count
          }
        }
        if let fault {
          // A transfer may go wrong once; what is wrong twice is wrong on the disk.
          if tag.isRetry {
            verdict.failure = reader.error(
              fault, in: read, layer: slot.layer, expert: slot.expert, index: index)
          } else {
            verdict.again |= bit
          }
        } else {
          verdict.landed |= bit
        }
      }
    }
    // While this operation is pending the slot cannot be given to another expert.
    if verdict.failure != nil { cancelReads(of: tag.slot) }
    let (again, isWarming) = table.withLock { table in
      let again = table.settle(slot: tag.slot, verdict, at: now)
      continueWarming(&table)
      return (again, table.slots[tag.slot].isUnused)
    }
    table.wakeAll()
    for index in reads.indices where again & (1 << UInt64(index)) != 0 {
      let read = reads[index]
      submit(
        read, bytes: read.slotOffset..<read.slotOffset + read.length,
        tag: ReadTag(slot: tag.slot, index: index, isRetry: true),
        priority: isWarming ? .background : .demand)
    }
  }

  private func transferFault(_ outcome: ReadOutcome, at offset: UInt64) -> SliceReader.Fault {
    switch outcome {
    case .failed(let error): .failed(error)
    case .read(let count): .endOfFile(offset + UInt64(count))
    case .cancelled: .endOfFile(offset)
    }
  }

  private func isToVerify(_ read: ExpertPlacement.Read, wasVerified: Bool) -> Bool {
    switch verification {
    case .always: true
    case .first: !wasVerified || reader.hasChanged(read.file)
    case .off: false
    }
  }
}

/// Makes the queue of a store that reads `files` into `memory`, never across a multiple of `piece`.
package typealias ReadQueueFactory =
  @Sendable (
    _ files: [File], _ memory: UnsafeMutableRawBufferPointer, _ piece: Int
  ) throws -> any ReadQueue

extension Duration {
  /// The duration in seconds.
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
