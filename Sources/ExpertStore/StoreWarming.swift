internal import ExpertPack
internal import FileIO

extension ExpertStore {
  /// Reads `experts` in the background, in this order, until no slot is empty.
  ///
  /// Their reads begin only while no other is queued, two experts at a time, and evict nothing of value. What
  /// cannot be read is left out without a word: whoever needs it reads it again and reports what is
  /// wrong. An expert that has arrived is a resident one like any other, but evicted before those
  /// that were used, the last that arrived first. Returns at once; the reads end with the store.
  ///
  /// Results cannot change. What is resident when, and with it what is evicted, does depend on the
  /// speed of the disk once experts are read ahead.
  /// - Parameter experts: Distinct experts, hottest first; those that the pack has not are left out.
  public func warm(_ experts: [ExpertID]) {
    core.table.withLock { table in
      table.warming.append(experts.compactMap { core.keyIfPresent($0).map(Int32.init) })
      core.continueWarming(&table)
    }
  }

  /// The experts worth reading ahead the next time, hottest first: those that no one uses at the
  /// moment in the reverse of the order of eviction, then what ``warm(_:)`` has not read yet; no more
  /// than there are slots. Takes time and memory in proportion to the slots.
  public var hotExperts: [ExpertID] {
    let (resident, rest) = core.table.withLock { ($0.evictionOrder, $0.warming.rest) }
    var isListed = Set(resident)
    let all = resident.reversed() + rest.filter { isListed.insert($0).inserted }
    return all.prefix(slotCount).map { core.expert(of: Int($0)) }
  }

  /// Slots that hold an expert, or receive one.
  public var usedSlotCount: Int { core.table.withLock { slotCount - $0.emptySlotCount } }

  /// Most reads in flight at once since the last call, which begins a new interval.
  public func takeMaximumReadsInFlight() -> Int {
    core.table.withLock { $0.meter.takeMaximum() }
  }
}

extension StoreCore {
  /// The dense number of `id`, nil when the pack has no such expert.
  func keyIfPresent(_ id: ExpertID) -> Int? {
    guard source.expertCounts.indices.contains(id.layer), id.expert >= 0,
      id.expert < source.expertCounts[id.layer]
    else { return nil }
    return key(layer: id.layer, expert: id.expert)
  }

  /// Submits reads of experts that are to be warmed while there are empty slots.
  func continueWarming(_ table: inout SlotTable) {
    while table.emptySlotCount > 0, let key = table.warming.takeNext() {
      guard table.slot(of: key) == nil else { continue }
      let id = expert(of: key)
      // A pack that describes an expert wrongly is the business of whoever needs the expert.
      let isBegun = try? begin(layer: id.layer, expert: id.expert, isWarming: true, in: &table)
      if isBegun ?? nil != nil { table.warming.begin() }
    }
  }

  /// Submits no more reads of experts that are to be warmed.
  func endWarming() { table.withLock { $0.warming.isClosed = true } }
}
