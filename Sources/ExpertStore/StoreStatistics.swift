/// What an ``ExpertStore`` has done since it was made; two snapshots subtract to an interval.
public struct StoreStatistics: Sendable, Equatable {
  /// Experts asked for: one for every layer and distinct expert of an evaluation.
  public var expertsRequested = 0
  /// Requests that found the expert in a slot, or already on its way there.
  public var hits = 0
  /// Experts read on demand, counted when their reads are queued.
  public var expertsRead = 0
  /// Read operations finished, failed ones and second ones included; like ``bytesRead`` without those
  /// that warm the cache.
  public var reads = 0
  /// Slices read a second time because the first delivery was short, wrong or failed.
  public var rereads = 0
  /// Bytes all read operations delivered, without those that warm the cache.
  public var bytesRead = 0
  /// Experts that ``ExpertStore/warm(_:)`` has read.
  public var warmExperts = 0
  /// Bytes that reads of ``ExpertStore/warm(_:)`` delivered.
  public var warmBytes = 0
  /// Bytes whose checksum was computed and found right.
  public var verifiedBytes = 0
  /// How busy the disk was.
  public var disk = DiskActivity()
  /// What was read ahead of demand, included in ``reads`` and ``bytesRead``.
  public var prefetch = PrefetchStatistics()

  /// Statistics of a store that has done nothing.
  public init() {}

  /// Share of requests that needed no read, 0 when there were none.
  public var hitRate: Double {
    expertsRequested == 0 ? 0 : Double(hits) / Double(expertsRequested)
  }

  /// Bytes a second that the disk delivered while at least one read was in flight, 0 when none was.
  public var diskBytesPerSecond: Double {
    disk.busySeconds > 0 ? Double(bytesRead + warmBytes) / disk.busySeconds : 0
  }

  /// What happened between snapshot `earlier` and snapshot `later`.
  public static func - (later: StoreStatistics, earlier: StoreStatistics) -> StoreStatistics {
    var difference = StoreStatistics()
    difference.expertsRequested = later.expertsRequested - earlier.expertsRequested
    difference.hits = later.hits - earlier.hits
    difference.expertsRead = later.expertsRead - earlier.expertsRead
    difference.reads = later.reads - earlier.reads
    difference.rereads = later.rereads - earlier.rereads
    difference.bytesRead = later.bytesRead - earlier.bytesRead
    difference.warmExperts = later.warmExperts - earlier.warmExperts
    difference.warmBytes = later.warmBytes - earlier.warmBytes
    difference.disk = later.disk - earlier.disk
    difference.verifiedBytes = later.verifiedBytes - earlier.verifiedBytes
    difference.prefetch = later.prefetch - earlier.prefetch
    return difference
  }
}
