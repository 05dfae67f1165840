import CommandSupport
import FileIO
import Generation

/// A CSV file with one row for every evaluation of a run: the prompt, then every token.
final class StatisticsFile {
  private let file: File
  private var length: UInt64 = 0

  /// Columns in their order, each with what it holds.
  static let columns: [(name: String, content: String)] = [
    ("position", "tokens in the sequence after the evaluation"),
    ("tokens", "tokens evaluated"),
    ("seconds", "time it took"),
    ("tokens_per_second", "tokens over seconds"),
    ("experts_requested", "experts asked for, one a layer and distinct expert"),
    ("experts_read", "those of them that had to be read"),
    ("hit_rate", "share of the others, which were in memory"),
    ("bytes_read", "bytes that reads delivered, those that warm the cache left out"),
    ("stall_seconds", "time that compute stood still for a read"),
    ("read_bytes_per_second", "bytes_read over seconds"),
    ("reads", "read operations"),
    ("rereads", "slices read twice, since the first time went wrong"),
    ("disk_busy_seconds", "time with at least one read in flight"),
    ("disk_bytes_per_second", "bytes_read and warm_bytes over disk_busy_seconds"),
    ("stall_bytes_per_second", "bytes that the disk delivered in stall_seconds, over these"),
    ("mean_reads_in_flight", "reads in flight on average in that time"),
    ("maximum_reads_in_flight", "most reads in flight at once"),
    ("warm_experts", "experts read ahead to warm the cache"),
    ("warm_bytes", "bytes of such reads"),
    ("disk_idle_share", "share of the time without a read that somebody waits for"),
    ("prefetch_bytes", "part of bytes_read that was read before it was asked for"),
    ("prefetch_useful_share", "share of prefetch_bytes that turned out to be of use"),
    ("prefetch_wasted_bytes", "bytes read ahead that turned out to be of no use"),
    ("prefetch_armed_share", "share of the tokens during which a predictor was armed"),
  ]

  /// Creates the file at `path`, or replaces it, and writes the header.
  init(path: String) throws {
    file = try File.creating(path)
    try write(Self.columns.map(\.name).joined(separator: ","))
  }

  /// Appends a row.
  func add(_ step: Generator.Step) throws {
    let report = step.report
    let rate = report.seconds > 0 ? Double(report.bytesRead) / report.seconds : 0
    let cells = [
      "\(step.position)", "\(report.tokens)", decimal(report.seconds, 6),
      decimal(report.tokensPerSecond, 3), "\(report.expertsRequested)", "\(report.expertsRead)",
      decimal(report.hitRate, 4), "\(report.bytesRead)", decimal(report.stallSeconds, 6),
      decimal(rate, 0), "\(report.reads)", "\(report.rereads)",
      decimal(report.diskBusySeconds, 6), decimal(report.diskBytesPerSecond, 0),
      decimal(report.stallBytesPerSecond, 0), decimal(report.meanReadsInFlight, 3),
      "\(report.maximumReadsInFlight)",
      "\(report.warmExperts)", "\(report.warmBytes)", decimal(report.diskIdleShare, 4),
      "\(report.prefetchBytes)", decimal(report.prefetchUsefulShare, 4),
      "\(report.prefetchWastedBytes)", decimal(report.prefetchArmedShare, 4),
    ]
    precondition(cells.count == Self.columns.count)
    try write(cells.joined(separator: ","))
  }

  private func write(_ line: String) throws {
    let bytes = Array((line + "\n").utf8)
    try bytes.withUnsafeBytes { try file.write($0, at: length) }
    length += UInt64(bytes.count)
  }
}
