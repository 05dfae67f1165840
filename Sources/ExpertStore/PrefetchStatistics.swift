/// What reading ahead of demand has brought and cost; two snapshots subtract to an interval.
public struct PrefetchStatistics: Sendable, Equatable {
  /// Experts whose reads were begun before anybody had asked for them.
  public var experts = 0
  /// Bytes that reads begun ahead of demand delivered.
  public var bytes = 0
  /// Those of them whose expert was asked for before it was evicted.
  public var usefulBytes = 0
  /// Those of them whose expert was evicted, or its other reads cancelled, before anybody had asked
  /// for it. What is neither useful nor wasted is still held.
  public var wastedBytes = 0
  /// Requests that found an expert read ahead, or on its way ahead.
  public var usefulExperts = 0
  /// Reads ahead that were queued and fell away before they began.
  public var cancelledReads = 0
  /// Tokens during which a predictor was armed.
  public var armedTokens = 0

  /// Statistics of a store that has done nothing.
  public init() {}

  /// Share of the bytes read ahead that were of use, at most 1: an interval may use what an earlier
  /// one has read. 0 when nothing was read ahead.
  public var usefulShare: Double {
    bytes == 0 ? 0 : min(1, Double(usefulBytes) / Double(bytes))
  }

  /// What happened between snapshot `earlier` and snapshot `later`.
  public static func - (
    later: PrefetchStatistics, earlier: PrefetchStatistics
  ) -> PrefetchStatistics {
    var difference = PrefetchStatistics()
    difference.experts = later.experts - earlier.experts
    difference.bytes = later.bytes - earlier.bytes
    difference.usefulBytes = later.usefulBytes - earlier.usefulBytes
    difference.wastedBytes = later.wastedBytes - earlier.wastedBytes
    difference.usefulExperts = later.usefulExperts - earlier.usefulExperts
    difference.cancelledReads = later.cancelledReads - earlier.cancelledReads
    difference.armedTokens = later.armedTokens - earlier.armedTokens
    return difference
  }
}
