internal import FileIO

/// One walk over the experts of a layer: which are pinned, which is being used, which come next.
struct ExpertPass {
  /// A wanted expert, in the order it is served.
  struct Entry {
    /// Position in the caller's list.
    var index: Int32
    /// Slot that is pinned for it; meaningful below `acquired` only.
    var slot: Int32
  }

  private let core: StoreCore
  private let layer: Int
  private let experts: [Int32]
  private let entries: UnsafeMutableBufferPointer<Entry>  // [experts.count]
  /// Entries before this one are done and unpinned, but for the current one.
  private var served = 0
  /// Entries before this one hold, or held, a slot.
  private var acquired = 0
  private var isServing = false

  init(
    core: StoreCore, layer: Int, experts: [Int32], entries: UnsafeMutableBufferPointer<Entry>
  ) {
    self.core = core
    self.layer = layer
    self.experts = experts
    self.entries = entries
  }

  /// Pins what is resident, puts it first, and starts as many reads as there is room for.
  mutating func begin() throws {
    try core.table.withLock { table in
      table.statistics.expertsRequested += experts.count
      var misses = 0
      for (index, expert) in experts.enumerated() {
        if let slot = table.slot(of: core.key(layer: layer, expert: Int(expert))) {
          table.pin(slot)
          entries.initializeElement(
            at: acquired, to: Entry(index: Int32(index), slot: Int32(slot)))
          acquired += 1
        } else {
          // From the back, so that one pass sorts both groups; turned round below.
          misses += 1
          entries.initializeElement(
            at: entries.count - misses, to: Entry(index: Int32(index), slot: -1))
        }
      }
      table.statistics.hits += acquired
      var rest = entries[acquired...]
      rest.reverse()
      table.beginPass(experts, firstKey: core.key(layer: layer, expert: 0))
      try acquireAhead(&table)
    }
  }

  /// Gives back the expert served last and serves the next one; nil at the end.
  mutating func next() throws -> (index: Int, expert: LoadedExpert)? {
    try core.table.withLock { table in
      if isServing {
        isServing = false
        served += 1
        table.unpin(Int(entries[served - 1].slot))
      }
      try acquireAhead(&table)
    }
    core.table.wakeAll()
    guard served < entries.count else { return nil }
    if served == acquired { try waitForSlot() }
    let entry = entries[served]
    isServing = true
    let slices = core.table.withLock { $0.slots[Int(entry.slot)].slices }
    return (
      Int(entry.index), LoadedExpert(core: core, slot: Int(entry.slot), slices: slices)
    )
  }

  /// Unpins everything, lets reads that have not begun fall away and waits for the others.
  mutating func abandon() {
    let held = served..<acquired
    for position in held {
      let slot = Int(entries[position].slot)
      let isAbandoned = core.table.withLock { table in
        table.abandon(slot)
        return table.slots[slot].isAbandoned
      }
      if isAbandoned { core.cancelReads(of: slot) }
      core.table.withLock { $0.unpin(slot) }
    }
    core.table.wakeAll()
    core.table.wait(
      while: { table in
        held.contains { position in
          let slot = table.slots[Int(entries[position].slot)]
          return slot.isAbandoned && slot.pending > 0
        }
      }, then: { _ in })
    served = acquired
    isServing = false
  }

  private mutating func acquireAhead(_ table: inout SlotTable) throws {
    while acquired < entries.count {
      let expert = Int(experts[Int(entries[acquired].index)])
      guard let (slot, hit) = try core.acquire(layer: layer, expert: expert, in: &table) else {
        return
      }
      // Another user may have asked for the same expert since this pass began.
      if hit { table.statistics.hits += 1 }
      entries[acquired].slot = Int32(slot)
      acquired += 1
    }
  }

  /// This pass holds nothing, so waiting for other users' slots cannot lock them out.
  private mutating func waitForSlot() throws {
    let clock = ContinuousClock()
    let start = clock.now
    let expert = Int(experts[Int(entries[acquired].index)])
    let key = core.key(layer: layer, expert: expert)
    try core.table.wait(while: { !$0.hasFreeSlot && $0.slot(of: key) == nil }) { table in
      table.statistics.stallSeconds += (clock.now - start).seconds
      try acquireAhead(&table)
    }
  }
}
