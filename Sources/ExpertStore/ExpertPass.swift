internal import FileIO

/// One walk over the experts of a layer: which are pinned, which is being used, which come next.
///
/// Slots are given back in the order of the entries, whatever order they are computed in, and each
/// goes to the next expert in line: so what is evicted does not depend on timing. All methods run
/// under the lock of the store's table, or take it where they say so.
struct ExpertPass {
  /// In which order experts are served.
  enum Order {
    /// Experts in a slot come first, each group in the order asked for.
    case residentFirst
    /// The order asked for, through a ``ChunkRing``.
    case asGiven
  }

  /// A wanted expert, in the order it is served.
  struct Entry {
    /// Position in the caller's list.
    var index: Int32
    /// Slot that is pinned for it, -1 for none.
    var slot: Int32 = -1
    /// Whether it got its slot in its turn, and not by being there at the start.
    var isAhead = false
    /// Whether it was read for this pass.
    var isRead = false
    /// Bit per compute slice: handed out.
    var taken: UInt8 = 0
    /// Compute slices that are done.
    var done: UInt8 = 0
  }

  let core: StoreCore
  let layer: Int
  let experts: [Int32]
  let entries: UnsafeMutableBufferPointer<Entry>  // [experts.count]
  private let order: Order
  private let ring: ChunkRing
  /// Entries before this one are done and unpinned.
  private(set) var served = 0
  /// Entries before this one hold, or held, a slot.
  private(set) var acquired = 0
  /// Entries from `served` on that got a slot in their turn.
  private var ahead = 0

  /// A pass that has not begun; `entries` has as many places as `experts` and outlives it.
  init(
    core: StoreCore, layer: Int, experts: [Int32], order: Order,
    entries: UnsafeMutableBufferPointer<Entry>
  ) {
    precondition(entries.count == experts.count)
    self.core = core
    self.layer = layer
    self.experts = experts
    self.order = order
    self.entries = entries
    ring = ChunkRing(
      expertCount: experts.count, layerCount: core.layerCount, slotCount: core.slotCount)
  }

  /// Pins what is resident, gives up what else was read ahead and starts as many reads as there is
  /// room for.
  /// - Returns: Whether the caller is to take reads ahead back from the queue, once it holds no lock:
  ///   ``StoreCore/cancelReadsAhead()``.
  mutating func begin(in table: inout SlotTable) throws -> Bool {
    table.statistics.expertsRequested += experts.count
    var (hits, misses, readAhead) = (0, 0, 0)
    for (index, expert) in experts.enumerated() {
      var entry = Entry(index: Int32(index))
      let resident = table.slot(of: core.key(layer: layer, expert: Int(expert)))
      // Read ahead for this chunk: it was not in the cache, and passes through the ring.
      entry.isRead =
        order == .asGiven && resident.map { table.slots[$0].isSpeculative } ?? false
      let isKept = order == .residentFirst || entry.isRead || hits < ring.keptHits
      if isKept, let slot = resident {
        core.pin(slot, in: &table)
        entry.slot = Int32(slot)
        hits += 1
        if entry.isRead { readAhead += 1 }
      } else {
        misses += 1
      }
      switch order {
      case .asGiven: entries.initializeElement(at: index, to: entry)
      case .residentFirst where entry.slot >= 0:
        entries.initializeElement(at: hits - 1, to: entry)
      // From the back, so that one walk sorts both groups; turned round below.
      case .residentFirst: entries.initializeElement(at: entries.count - misses, to: entry)
      }
    }
    table.statistics.hits += hits - readAhead
    table.statistics.expertsRead += readAhead
    if order == .residentFirst {
      var rest = entries[hits...]
      rest.reverse()
    }
    let hasReadsAhead = table.endPlan()
    table.beginPass(experts, firstKey: core.key(layer: layer, expert: 0))
    try acquireAhead(&table)
    return hasReadsAhead
  }

  /// Gives the slot of the first entry back, whose expert is computed, and its room to the next.
  mutating func release(in table: inout SlotTable) throws {
    let entry = entries[served]
    served += 1
    if entry.isAhead { ahead -= 1 }
    // An empty slot is as good as a spent one, and then the spent one may as well stay.
    let isSpent =
      order == .asGiven && ring.isScan && entry.isRead && table.emptySlotCount == 0
    table.unpin(Int(entry.slot), isSpent: isSpent)
    try acquireAhead(&table)
  }

  /// Gives slots to the next entries and starts their reads, as far as there is room.
  mutating func acquireAhead(_ table: inout SlotTable) throws {
    while acquired < entries.count {
      guard entries[acquired].slot < 0 else {
        acquired += 1
        continue
      }
      if order == .asGiven, ahead >= ring.depth { return }
      let expert = Int(experts[Int(entries[acquired].index)])
      guard let (slot, hit) = try core.acquire(layer: layer, expert: expert, in: &table) else {
        // The one that is served next must not wait while later ones hold what it needs.
        guard acquired == served, giveUpLastHit(&table) else { return }
        continue
      }
      // It was left unpinned, or another user has asked for it since this pass began.
      if hit { table.statistics.hits += 1 }
      entries[acquired].slot = Int32(slot)
      entries[acquired].isAhead = true
      entries[acquired].isRead = !hit
      ahead += 1
      acquired += 1
    }
  }

  /// Unpins the last expert that is held for later; false when there is none.
  private mutating func giveUpLastHit(_ table: inout SlotTable) -> Bool {
    guard let last = entries[acquired...].lastIndex(where: { $0.slot >= 0 }) else { return false }
    table.unpin(Int(entries[last].slot))
    if entries[last].isRead {
      table.statistics.expertsRead -= 1
      entries[last].isRead = false
    } else {
      table.statistics.hits -= 1
    }
    entries[last].slot = -1
    return true
  }

  /// Unpins everything, lets reads that have not begun fall away and waits for the others. Takes the
  /// lock itself.
  mutating func abandon() {
    let held = entries[served...].filter { $0.slot >= 0 }.map { Int($0.slot) }
    for slot in held {
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
        held.contains { slot in
          let slot = table.slots[slot]
          return slot.isAbandoned && slot.pending > 0
        }
      }, then: { _ in })
    served = entries.count
    acquired = entries.count
  }
}
