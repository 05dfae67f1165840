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
  /// Share of the experts asked for that were in memory; 1 when none was asked for.
  public let hitRate: Double
  /// Seconds in which nothing could be computed because an expert was still being read.
  public let stallSeconds: Double

  /// A report of `tokens` in `seconds`; `store` is what the expert store did meanwhile.
  public init(tokens: Int, seconds: Double, store: StoreStatistics) {
    self.tokens = tokens
    self.seconds = seconds
    tokensPerSecond = seconds > 0 ? Double(tokens) / seconds : 0
    bytesRead = store.bytesRead
    expertsRequested = store.expertsRequested
    expertsRead = store.expertsRead
    hitRate = store.hitRate
    stallSeconds = store.stallSeconds
  }
}

/// Measures one phase: time, and what the store did in it.
struct PhaseClock {
  private let store: ExpertStore
  private let start = ContinuousClock.now
  private let before: StoreStatistics

  init(store: ExpertStore) {
    self.store = store
    before = store.statistics
  }

  func report(tokens: Int) -> PhaseReport {
    let elapsed = (ContinuousClock.now - start).components
    return PhaseReport(
      tokens: tokens,
      seconds: Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18,
      store: store.statistics - before)
  }
}
