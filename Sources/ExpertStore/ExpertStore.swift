public import FileIO

/// Experts of a pack, read on demand into a bounded number of slots.
///
/// All layers share one pool of equal slots in one region of memory; a ``CachePolicy`` says which
/// expert makes room. Reads run on a queue of the store's own and go from the disk straight into the slot,
/// several experts ahead of the one being computed, first in, first out. Which experts are evicted
/// depends on the order of calls alone, never on how long a read takes, unless experts are
/// read ahead of their use, by ``warm(_:)``, ``readAheadChunk(layer:)`` or a ``Prefetcher``.
///
/// Any number of threads may use a store: each waits for a slot only while it holds none, so they
/// cannot lock each other out.
public final class ExpertStore: Sendable {
  let core: StoreCore

  /// Tokens that are served at once through ``SliceFeed`` at most; more of them go through
  /// ``withExperts(layer:experts:_:)``. With so few most experts have one token, and a slice is too
  /// little work to be divided.
  public static let largestSlicePass = 8

  /// How experts are read; the depth is the one the system granted.
  public let reading: ReadSettings
  /// Which expert makes room.
  public let policy: CachePolicy

  /// Opens the files of `source` and reserves `slotCount` slots, no more than there are experts.
  /// - Parameters:
  ///   - source: The pack.
  ///   - slotCount: Experts to hold at once.
  ///   - minimumSlots: Slots that one token needs: the experts it uses in a layer.
  ///   - reading: How experts are read.
  ///   - verification: When slices are checked.
  ///   - policy: Which expert makes room.
  ///   - features: What is done to be fast.
  /// - Throws: ``ExpertStoreError`` when `slotCount` is below `minimumSlots`, `FileIOError` when a
  ///   file cannot be opened, the memory cannot be reserved or the backend is not available.
  public convenience init(
    source: ExpertSource, slotCount: Int, minimumSlots: Int = 1,
    reading: ReadSettings = .standard, verification: ReadVerification = .first,
    policy: CachePolicy = .auto, features: StoreFeatures = .all
  ) throws {
    try self.init(
      source: source, slotCount: slotCount, minimumSlots: minimumSlots, reading: reading,
      verification: verification, policy: policy, features: features,
      makeQueue: reading.makeQueue(files:memory:piece:))
  }

  /// As the public initializer, with a queue of the caller's making. The queue must not call
  /// completions from `submit`; the store closes it.
  package init(
    source: ExpertSource, slotCount: Int, minimumSlots: Int, reading: ReadSettings,
    verification: ReadVerification, policy: CachePolicy, features: StoreFeatures = .all,
    now: MonotonicSeconds? = nil, makeQueue: ReadQueueFactory
  ) throws {
    let slotBytes = Self.slotBytes(of: source)
    guard slotCount >= max(minimumSlots, 1) else {
      throw ExpertStoreError(
        .tooFewSlots,
        "\(source.name): room for \(slotCount) experts of \(slotBytes) bytes, a token uses "
          + "\(minimumSlots) in a layer; give at least \(minimumSlots * slotBytes) bytes for experts"
      )
    }
    let slots = min(slotCount, max(source.expertCount, 1))
    let core = try StoreCore(
      source: source, slotCount: slots, slotBytes: slotBytes, verification: verification,
      split: reading.split, policy: policy, features: features,
      // Reads ahead leave what a token needs in a layer, so that demand never waits for their slots.
      speculativeSlots: slots - max(minimumSlots, 1), now: now ?? SystemClock.seconds(),
      makeQueue: makeQueue)
    self.core = core
    self.policy = policy
    self.reading = ReadSettings(
      backend: core.queue.backend, depth: core.queue.depth, split: reading.split)
  }

  deinit {
    core.endWarming()
    core.queue.close()
  }

  /// Bytes of one slot of a store of `source`: its largest expert, rounded up to 16 KiB.
  public static func slotBytes(of source: ExpertSource) -> Int {
    (max(source.slotBytes, 1) + 16383) / 16384 * 16384
  }

  /// Experts of every decoder layer, by layer.
  public var expertCounts: [Int] { core.source.expertCounts }
  /// Takes all the memory of the slots from the system now, zeroed, rather than page by page as slots
  /// are first filled: what a virtual machine's host takes for that belongs in no timed phase.
  public func populate() { core.populate() }

  /// Experts held at once.
  public var slotCount: Int { core.slotCount }
  /// Bytes of one slot.
  public var slotBytes: Int { core.slotBytes }
  /// Bytes of all slots.
  public var memoryByteCount: Int { core.slotCount * core.slotBytes }
  /// Whether the memory is registered with io_uring, which spares CPU time; false with the pool.
  public var isMemoryRegistered: Bool { (core.queue as? UringQueue)?.isRegistered ?? false }
  /// The policy that decides at present: ``policy``, or for `.auto` the one it follows.
  public var followedPolicy: CachePolicy { core.table.withLock { $0.followedPolicy } }
  /// What the store has done so far.
  public var statistics: StoreStatistics {
    let now = core.now()
    return core.table.withLock { $0.statistics(at: now) }
  }

  /// Whether an expert is in a slot, or on its way there.
  public func isResident(layer: Int, expert: Int) -> Bool {
    let key = core.key(layer: layer, expert: expert)
    return core.table.withLock { $0.slot(of: key) != nil }
  }

  /// Calls `body` once for every entry of `experts` in their order, while the ones that follow are
  /// being read: for chunks of a prompt, whose tokens use more experts than there may be slots.
  ///
  /// Every expert is read at most once. Reads run some experts ahead of the one being computed; where
  /// the chunk's experts of all layers are more than the slots, what is read for it does not displace
  /// what was there before. ``SliceFeed`` is for single tokens.
  /// - Parameters:
  ///   - layer: Decoder layer; traps when the pack has no experts there.
  ///   - experts: Distinct expert ids; traps on an id out of range.
  ///   - body: Given the position in `experts` and the expert, which is pinned until it returns.
  /// - Throws: What `body` throws, or ``ExpertStoreError`` when a slice cannot be read or is
  ///   damaged; reads under way have ended by then, and the damaged expert is in no slot.
  public func withExperts(
    layer: Int, experts: [Int32], _ body: (_ index: Int, _ expert: LoadedExpert) throws -> Void
  ) throws {
    try withUnsafeTemporaryAllocation(of: ExpertPass.Entry.self, capacity: experts.count) {
      entries in
      var pass = ExpertPass(
        core: core, layer: layer, experts: experts, order: .asGiven, entries: entries)
      do {
        if try core.table.withLock({ try pass.begin(in: &$0) }) { core.cancelReadsAhead() }
        while pass.served < entries.count {
          let (index, expert) = try next(of: &pass)
          try body(index, expert)
          try core.table.withLock { try pass.release(in: &$0) }
          core.table.wakeAll()
        }
      } catch {
        pass.abandon()
        throw error
      }
    }
  }

  /// The expert that `pass` serves next. Waits for its slot if need be; then the pass holds none, so
  /// that it cannot lock others out.
  private func next(of pass: inout ExpertPass) throws -> (index: Int, expert: LoadedExpert) {
    var isStalled = false
    return try core.table.waitForValue { table in
      do { try pass.acquireAhead(&table) } catch {
        if isStalled { table.meter.endStall(at: core.now()) }
        throw error
      }
      guard pass.acquired > pass.served else {
        if !isStalled { table.meter.beginStall(at: core.now()) }
        isStalled = true
        return nil
      }
      if isStalled { table.meter.endStall(at: core.now()) }
      let entry = pass.entries[pass.served]
      let slot = Int(entry.slot)
      return (
        Int(entry.index), LoadedExpert(core: core, slot: slot, slices: table.slots[slot].slices)
      )
    }
  }
}

/// An expert in a slot. Valid only inside the body of ``ExpertStore/withExperts(layer:experts:_:)``.
public struct LoadedExpert {
  let core: StoreCore
  let slot: Int
  let slices: [ExpertSlice]

  /// Compute slices of the expert: 1, 2 or 4.
  public var sliceCount: Int { slices.count }

  /// All slices when every one has landed, so that they can be computed together; nil while one is
  /// on its way or cannot be served, which ``slice(_:)`` then waits for or reports.
  public var completeSlices: [ExpertSlice]? {
    let all = slices.reduce(0) { $0 | $1.reads }
    let isComplete = core.table.withLock { table in
      table.slots[slot].failure == nil && table.slots[slot].landed & all == all
    }
    return isComplete ? slices : nil
  }

  /// Slice `index`, after waiting for its reads.
  /// - Throws: ``ExpertStoreError`` when a slice of this expert is damaged or unreadable.
  public func slice(_ index: Int) throws -> ExpertSlice {
    let slice = slices[index]
    try core.wait(slot: slot, mask: slice.reads)
    return slice
  }
}
