internal import ExpertPack
internal import FileIO

extension StoreCore {
  /// Keeps `slot` from being evicted. When it was read ahead, what is missing of it is read now.
  func pin(_ slot: Int, in table: inout SlotTable) {
    guard table.slots[slot].isUnused else { return table.pin(slot) }
    table.claim(slot, at: now)
    table.pin(slot)
    let rest = table.takeRest(of: slot, at: now)
    let (operations, reads) = (table.slots[slot].operations, table.slots[slot].reads)
    for operation in 0..<operations.count where rest & (1 << UInt64(operation)) != 0 {
      submit(operation, operations, reads, slot: slot, priority: .demand)
    }
  }

  /// Plans to read `experts` of a coming layer, best first, and begins with it as soon as demand
  /// leaves the disk alone. What an earlier plan has not begun falls away.
  ///
  /// An expert whose place in the pack is wrong is left out; a read on demand will report it.
  func prefetch(layer: Int, experts: [Int32]) {
    let hasReadsAhead = table.withLock { table in
      let hasReadsAhead = table.endPlan()
      table.speculation.readLimit = Speculation.tokenReads
      for expert in experts {
        let key = key(layer: layer, expert: Int(expert))
        let first = key - Int(expert)
        let isTaken = table.plan(
          key: key, isPredicted: { experts.contains(Int32(truncatingIfNeeded: $0 - first)) },
          fill: { fill($0, key: key, layer: layer, expert: Int(expert)) })
        if !isTaken { break }
      }
      return hasReadsAhead
    }
    if hasReadsAhead { cancelReadsAhead() }
    readAhead()
  }

  /// Begins to read the experts of `layer` for a chunk that uses nearly all of them, by ascending id, into
  /// a third of the slots at most: the others keep what tokens use. The chunk's pass takes them over.
  func readAheadChunk(layer: Int) {
    guard features.contains(.chunkReadAhead) else { return }
    let (first, count) = (key(layer: layer, expert: 0), source.expertCounts[layer])
    let hasReadsAhead = table.withLock { table in
      let hasReadsAhead = table.endPlan()
      table.speculation.readLimit = Speculation.chunkReads
      for expert in 0..<count where table.speculation.plan.count < slotCount / 3 {
        let isTaken = table.plan(
          key: first + expert, isPredicted: { (first..<first + count).contains($0) },
          fill: {
            var slot = fill($0, key: first + expert, layer: layer, expert: expert)
            slot?.isForChunk = true
            return slot
          })
        if !isTaken { break }
      }
      return hasReadsAhead
    }
    if hasReadsAhead { cancelReadsAhead() }
    readAhead()
  }

  /// The state of `slot` before any operation of an expert is queued; nil when the expert's placement
  /// is not valid.
  private func fill(_ slot: Int, key: Int, layer: Int, expert: Int) -> SlotTable.Slot? {
    let placement = source.placement(layer, expert)
    do {
      try reader.validate(placement, layer: layer, expert: expert, slotBytes: slotBytes)
    } catch {
      return nil
    }
    return SlotTable.Slot(
      key: key, layer: layer, expert: expert, reads: placement.reads,
      slices: slices(of: placement, slot: slot),
      operations: ReadOperations(placement.reads, split: split))
  }

  /// Queues reads ahead for as long as they may begin. Not under the table's lock: a queue that is
  /// closing completes at once.
  func readAhead() {
    while true {
      let next = table.withLock { table -> (slot: SlotTable.Slot, index: Int, operation: Int)? in
        guard let next = table.nextSpeculativeOperation(at: now) else { return nil }
        return (table.slots[next.slot], next.slot, next.operation)
      }
      guard let next else { return }
      submit(
        next.operation, next.slot.operations, next.slot.reads, slot: next.index,
        priority: .speculative)
    }
  }

  /// Gives up what is being read ahead: nobody will ask for it.
  func endReadAhead() {
    let hasReadsAhead = table.withLock { $0.endPlan() }
    if hasReadsAhead { cancelReadsAhead() }
    table.wakeAll()
  }

  /// Takes reads ahead back from the queue that have not begun: ``readEnded(_:_:)`` makes demand of
  /// those that somebody waits for and drops the others.
  func cancelReadsAhead() { queue.cancel { $0.priority == .speculative } }

  /// Notes that a read was cancelled.
  /// - Returns: Whether it was queued again, as demand, because somebody waits for it.
  func noteCancelled(_ request: ReadRequest, _ tag: ReadTag) -> Bool {
    let isWanted = table.withLock {
      $0.noteCancelled(slot: tag.slot, isAhead: request.priority == .speculative, at: now)
    }
    guard isWanted else { return false }
    queue.submit(
      ReadRequest(
        file: request.file, offset: request.offset, target: request.target, tag: request.tag,
        completion: self))
    return true
  }
}

extension ExpertStore {
  /// Reads `experts` of a coming layer ahead, best first, into the coldest slots and while nothing is
  /// read on demand. They are kept until the next pass begins; what it does not ask for goes first
  /// when a slot is needed. Nothing is reported of a read ahead that fails.
  /// - Parameters:
  ///   - layer: Decoder layer; traps when the pack has no experts there.
  ///   - experts: Distinct expert ids; traps on an id out of range.
  package func prefetch(layer: Int, experts: [Int32]) {
    core.prefetch(layer: layer, experts: experts)
  }

  /// Begins to read the experts of `layer` for a chunk of tokens that uses nearly all of them, while
  /// nothing is read on demand: so the disk works while the layer's mixer computes. The layer's pass
  /// takes over what it finds, read or not.
  /// - Parameter layer: Decoder layer; traps when the pack has no experts there.
  public func readAheadChunk(layer: Int) { core.readAheadChunk(layer: layer) }

  /// Gives up what is being read ahead, after an evaluation that broke off.
  public func endReadAhead() { core.endReadAhead() }
}
