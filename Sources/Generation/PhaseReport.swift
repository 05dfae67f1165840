public import ExpertStore

/// What a run of tokens through the model cost.
public struct PhaseReport: Sendable, Encodable {
  /// Tokens evaluated, or generated.
  public let tokens: Int
  /// Wall-clock seconds.
  public let seconds: Double
  /// Tokens over seconds; 0 when nothing was measured.
  public let tokensPerSecond: Double
  /// Bytes of experts read from disk.
  public let bytesRead: Int
  /// Experts asked for.
  public let expertsRequested: Int
  /// Those of them that had to be read.
  public let expertsRead: Int
  /// Share of the experts asked for that were in memory; 0 when none was asked for.
  public let hitRate: Double
  /// Seconds in which nothing could be computed because an expert was still being read.
  public let stallSeconds: Double
  /// Those of the experts asked for that were in memory, or on their way there.
  public let expertsHit: Int
  /// Read operations; like ``bytesRead`` without those that warm the cache.
  public let reads: Int
  /// Slices that had to be read a second time.
  public let rereads: Int
  /// Experts that were read ahead to warm the cache.
  public let warmExperts: Int
  /// Bytes of reads that warm the cache.
  public let warmBytes: Int
  /// Seconds in which at least one read was in flight.
  public let diskBusySeconds: Double
  /// Bytes a second that the disk delivered in these seconds, warming included.
  public let diskBytesPerSecond: Double
  /// Bytes a second that the disk delivered in ``stallSeconds``; 0 when there were none.
  public let stallBytesPerSecond: Double
  /// Reads in flight on average in ``diskBusySeconds``.
  public let meanReadsInFlight: Double
  /// Most reads in flight at once.
  public let maximumReadsInFlight: Int
  /// Bytes read before anybody had asked for them, part of ``bytesRead``.
  public let prefetchBytes: Int
  /// Share of these that turned out to be of use; 0 when nothing was read ahead.
  public let prefetchUsefulShare: Double
  /// Bytes read ahead that turned out to be of no use.
  public let prefetchWastedBytes: Int
  /// Share of the tokens during which a predictor was armed; 0 without tokens.
  public let prefetchArmedShare: Double
  /// Share of the time in which no read on demand was queued or running; 1 when nothing was
  /// measured.
  public let diskIdleShare: Double

  /// A report of `tokens` in `seconds`; `store` is what the expert store did meanwhile, with
  /// `maximumReadsInFlight` reads at once at most.
  public init(tokens: Int, seconds: Double, store: StoreStatistics, maximumReadsInFlight: Int) {
    self.tokens = tokens
    self.seconds = seconds
    tokensPerSecond = seconds > 0 ? Double(tokens) / seconds : 0
    bytesRead = store.bytesRead
    expertsRequested = store.expertsRequested
    expertsRead = store.expertsRead
    hitRate = store.hitRate
    stallSeconds = store.disk.stallSeconds
    expertsHit = store.hits
    reads = store.reads
    rereads = store.rereads
    warmExperts = store.warmExperts
    warmBytes = store.warmBytes
    diskBusySeconds = store.disk.busySeconds
    diskBytesPerSecond = store.diskBytesPerSecond
    stallBytesPerSecond = store.disk.stallBytesPerSecond
    meanReadsInFlight = store.disk.meanReadsInFlight
    self.maximumReadsInFlight = maximumReadsInFlight
    prefetchBytes = store.prefetch.bytes
    prefetchUsefulShare = store.prefetch.usefulShare
    prefetchWastedBytes = store.prefetch.wastedBytes
    prefetchArmedShare = tokens > 0 ? Double(store.prefetch.armedTokens) / Double(tokens) : 0
    diskIdleShare = seconds > 0 ? max(0, 1 - store.disk.demandSeconds / seconds) : 1
  }
}

/// Measures one phase: time, and what the store did in it.
struct PhaseClock {
  private let store: ExpertStore
  private var start = ContinuousClock.now
  private var before: StoreStatistics

  init(store: ExpertStore) {
    self.store = store
    before = store.statistics
  }

  /// The report of a phase without parts.
  func report(tokens: Int) -> PhaseReport {
    report(
      tokens: tokens, until: store.statistics,
      maximumReadsInFlight: store.takeMaximumReadsInFlight())
  }

  /// Has the time start now; what the store does counts from where it did before.
  mutating func restart() { start = .now }

  /// The report of a part of a phase. What the store does from now on is the next part's, so that nothing
  /// falls between two of them.
  mutating func part(tokens: Int) -> PhaseReport {
    let now = store.statistics
    defer { before = now }
    return report(
      tokens: tokens, until: now, maximumReadsInFlight: store.takeMaximumReadsInFlight())
  }

  /// The report of a phase whose last part `parts` has measured, each with a maximum of its own.
  func report(tokens: Int, parts: PhaseClock, maximumReadsInFlight: Int) -> PhaseReport {
    report(tokens: tokens, until: parts.before, maximumReadsInFlight: maximumReadsInFlight)
  }

  private func report(
    tokens: Int, until now: StoreStatistics, maximumReadsInFlight: Int
  ) -> PhaseReport {
    let elapsed = (ContinuousClock.now - start).components
    return PhaseReport(
      tokens: tokens,
      seconds: Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18,
      store: now - before, maximumReadsInFlight: maximumReadsInFlight)
  }
}
