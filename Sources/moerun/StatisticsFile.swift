import CommandSupport
import FileIO
import Generation

/// A CSV file with one row for every evaluation of a run: the prompt, then every token.
final class StatisticsFile {
  private let file: File
  private var length: UInt64 = 0

  /// Creates the file at `path`, or replaces it, and writes the header.
  init(path: String) throws {
    file = try File.creating(path)
    try write(
      "position,tokens,seconds,tokens_per_second,experts_requested,experts_read,hit_rate,"
        + "bytes_read,stall_seconds,read_bytes_per_second")
  }

  /// Appends a row.
  func add(_ step: Generator.Step) throws {
    let report = step.report
    let rate = report.seconds > 0 ? Double(report.bytesRead) / report.seconds : 0
    let cells = [
      "\(step.position)", "\(report.tokens)", decimal(report.seconds, 6),
      decimal(report.tokensPerSecond, 3), "\(report.expertsRequested)", "\(report.expertsRead)",
      decimal(report.hitRate, 4), "\(report.bytesRead)", decimal(report.stallSeconds, 6),
      decimal(rate, 0),
    ]
    try write(cells.joined(separator: ","))
  }

  private func write(_ line: String) throws {
    let bytes = Array((line + "\n").utf8)
    try bytes.withUnsafeBytes { try file.write($0, at: length) }
    length += UInt64(bytes.count)
  }
}
