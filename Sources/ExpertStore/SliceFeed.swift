internal import FileIO

/// Hands out the work of a layer, one compute slice at a time, to any number of threads: what is
/// there first, then slices as their reads land.
///
/// A thread that finds nothing ready waits in the store. Experts stay pinned until all of their slices
/// are done. A feed is made once for a session and serves one layer after the other; nothing is
/// allocated but for what has to be read.
public final class SliceFeed: @unchecked Sendable {
  // Sendable: everything that changes is touched under the lock of the store's table; `pass` and
  // `isServing` are also set by the thread in `serve`, before and after other threads have the feed.

  /// A piece of work, given to one thread.
  public struct Work: Sendable {
    /// Position of the expert in the list asked for; nil for work of the caller's own.
    public let position: Int?
    /// Compute slice of the expert, or number of the caller's own work.
    public let index: Int
    /// The slice's matrices, landed and verified; nil for work of the caller's own.
    public let slice: ExpertSlice?
    /// Entry of the pass; -1 for work of the caller's own.
    fileprivate let entry: Int
  }

  private let core: StoreCore
  private let entries: UnsafeMutableBufferPointer<ExpertPass.Entry>  // [experts of a layer]
  private var pass: ExpertPass?
  private var isServing = false
  /// Pieces of the caller's own work, and how many of them are handed out.
  private var ownWork = 0
  private var ownTaken = 0
  /// Entries before this one have no slice left to hand out.
  private var firstOpen = 0
  /// Pieces handed out and not done.
  private var underWay = 0
  /// Nothing is computed, and somebody waits.
  private var isStalled = false
  private var failure: (any Error)?

  /// A feed of experts of `store`, which it keeps alive.
  public init(_ store: ExpertStore) {
    core = store.core
    self.store = store
    entries = .allocate(capacity: max(1, core.source.expertCounts.max() ?? 0))
  }

  // The store closes its queue when it goes.
  private let store: ExpertStore

  deinit { entries.deallocate() }

  /// Starts the reads of `experts` and calls `body`, which hands this feed to threads; each of them
  /// calls ``next(after:)`` until it gives nil, and none may do so after `body` has returned.
  ///
  /// Experts in a slot come first, each group in the order of `experts`. With fewer slots than experts
  /// the rest follow as experts are done, so one slot is enough.
  /// - Parameters:
  ///   - layer: Decoder layer; traps when the pack has no experts there.
  ///   - experts: Distinct expert ids; traps on an id out of range.
  ///   - ownWork: Pieces of work that need no expert, handed out before all others: so nobody waits
  ///     while there is any, and a stall that is counted is one.
  ///   - body: Has all the work done.
  /// - Throws: ``ExpertStoreError`` when a slice cannot be read or is damaged; no more work was handed
  ///   out from then on, reads under way have ended, and the damaged expert is in no slot.
  public func serve(layer: Int, experts: [Int32], ownWork: Int, _ body: () -> Void) throws {
    precondition(!isServing, "a feed serves one layer at a time")
    precondition(experts.count <= entries.count, "layer \(layer) has no \(experts.count) experts")
    isServing = true
    defer { isServing = false }
    var start = ExpertPass(
      core: core, layer: layer, experts: experts, order: .residentFirst,
      entries: UnsafeMutableBufferPointer(rebasing: entries[..<experts.count]))
    let hasReadsAhead = core.table.withLock { table in
      (self.ownWork, ownTaken, firstOpen, underWay) = (ownWork, 0, 0, 0)
      failure = nil
      var hasReadsAhead = false
      do { hasReadsAhead = try start.begin(in: &table) } catch { failure = error }
      pass = start
      return hasReadsAhead
    }
    if hasReadsAhead { core.cancelReadsAhead() }
    body()
    guard var pass else { return }
    self.pass = nil
    if pass.served < experts.count { pass.abandon() }
    if let failure { throw failure }
  }

  /// The next piece of work for the calling thread, which has done `finished`. Waits until one is
  /// ready.
  /// - Parameter finished: What this thread was given last; nil for its first call.
  /// - Returns: Work that no other thread has; nil when none is left, or something went wrong.
  public func next(after finished: Work?) -> Work? {
    var finished = finished
    var isWakeDue = false
    let step = core.table.waitForValue { (table: inout SlotTable) -> Step? in
      if let work = finished {
        finished = nil
        isWakeDue = finish(work, in: &table)
      }
      let step = take(from: &table)
      if let step {
        if isStalled { table.meter.endStall(at: core.now()) }
        isStalled = false
        if case .work = step { underWay += 1 }
      } else {
        // Others may wait for a slot that was just given back.
        if isWakeDue {
          core.table.wakeAll()
          isWakeDue = false
        }
        if underWay == 0, !isStalled {
          isStalled = true
          table.meter.beginStall(at: core.now())
        }
      }
      return step
    }
    switch step {
    case .work(let work):
      if isWakeDue { core.table.wakeAll() }
      return work
    case .end:
      // Those that wait have nothing to wait for any more.
      core.table.wakeAll()
      return nil
    }
  }

  private enum Step {
    case work(Work)
    case end
  }

  /// Notes that `work` is done, and gives back the experts that are done with it and in turn.
  /// - Returns: Whether slots were given back.
  private func finish(_ work: Work, in table: inout SlotTable) -> Bool {
    underWay -= 1
    guard work.entry >= 0, let before = pass?.served else { return false }
    entries[work.entry].done += 1
    do {
      while let served = pass?.served, served < firstOpen,
        Int(entries[served].done) == table.slots[Int(entries[served].slot)].slices.count
      {
        try pass?.release(in: &table)
      }
    } catch { failure = failure ?? error }
    return pass?.served != before
  }

  /// Finds work; nil when none is ready yet.
  private func take(from table: inout SlotTable) -> Step? {
    guard failure == nil else { return .end }
    if ownTaken < ownWork {
      ownTaken += 1
      return .work(Work(position: nil, index: ownTaken - 1, slice: nil, entry: -1))
    }
    do { try pass?.acquireAhead(&table) } catch { failure = error }
    guard failure == nil, let acquired = pass?.acquired else { return .end }
    for entry in firstOpen..<acquired {
      let slot = Int(entries[entry].slot)
      if let damage = table.slots[slot].failure {
        failure = damage
        return .end
      }
      let count = table.slots[slot].slices.count
      let taken = entries[entry].taken
      guard taken.nonzeroBitCount < count else { continue }
      for index in 0..<count where taken & (1 << UInt8(index)) == 0 {
        let needed = table.slots[slot].slices[index].reads
        guard table.slots[slot].landed & needed == needed else { continue }
        entries[entry].taken |= 1 << UInt8(index)
        if taken.nonzeroBitCount + 1 == count, entry == firstOpen { skipTaken(acquired, table) }
        return .work(
          Work(
            position: Int(entries[entry].index), index: index,
            slice: table.slots[slot].slices[index], entry: entry))
      }
    }
    return firstOpen == entries(in: pass) ? .end : nil
  }

  /// Moves ``firstOpen`` past entries without a slice to hand out.
  private func skipTaken(_ acquired: Int, _ table: borrowing SlotTable) {
    while firstOpen < acquired,
      entries[firstOpen].taken.nonzeroBitCount
        == table.slots[Int(entries[firstOpen].slot)].slices.count
    {
      firstOpen += 1
    }
  }

  private func entries(in pass: ExpertPass?) -> Int { pass?.experts.count ?? 0 }
}
