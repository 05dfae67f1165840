internal import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif

/// Makes the damaged places of a pack whole again, from the GGUF it was made of or another copy of it.
///
/// Only the bytes that are damaged are written, in their place, and only what has the checksum that the
/// pack has for the place. So a repair that is interrupted at any moment leaves a pack that is no worse.
public struct PackRepair: Sendable {
  private let directory: String
  private let source: String
  private let threads: Int

  /// A repair of the pack at `directory` from `source`, a GGUF (any shard of a split one) or a pack.
  public init(directory: String, source: String, threads: Int) {
    self.directory = directory
    self.source = source
    self.threads = threads
  }

  /// Verifies the pack, repairs what is damaged, and verifies what it wrote.
  ///
  /// Throws when there is no pack to repair (also an unfinished one, or one that a conversion is
  /// writing), or no source to repair it from; what cannot be repaired is in the report.
  public func run(progress: RepairProgress) throws -> RepairReport {
    guard Directory.exists(directory) else {
      throw FileIOError(
        .notFound, path: directory, message: "no such directory; expected a pack")
    }
    guard
      URL(filePath: directory).resolvingSymlinksInPath().path
        != URL(filePath: source).resolvingSymlinksInPath().path
    else {
      throw FileIOError(
        .system, path: source,
        message: "is the pack itself; expected its source, or another copy of it")
    }
    let lock = try DirectoryLock(directory)
    defer { withExtendedLifetime(lock) {} }
    let source = try RepairSource(source)
    var report = RepairReport()
    try TableRepair(
      directory: directory, source: source, threads: threads, progress: progress
    ).run(report: &report)
    progress.stage("verifying", 0)
    let checked = try PackVerifier(directory: directory, threads: threads).verify(
      willRead: { progress.stage("verifying", $0) }, progress: progress.add)
    report.bytesChecked = checked.bytes
    // Without its tables or one of its volumes the pack says what is damaged by files, not by slices.
    guard let pack = try? PackDirectory(contentsOf: directory) else {
      let known = Set(report.remaining.map(\.finding.file))
      for finding in checked.findings where !known.contains(finding.file) {
        report.leave(
          finding, "the pack cannot be opened, and its slices not be told, before this is put right"
        )
      }
      return sorted(report)
    }
    try WeightRepair(pack: pack, source: source, threads: threads, progress: progress)
      .run(checked.findings, report: &report)
    if report.isWhole { _ = try PackDirectory.open(directory) }
    return sorted(report)
  }

  private func sorted(_ report: RepairReport) -> RepairReport {
    var report = report
    report.repaired.sort { ($0.file, $0.offset) < ($1.file, $1.offset) }
    report.remaining.sort {
      ($0.finding.file, $0.finding.offset) < ($1.finding.file, $1.finding.offset)
    }
    return report
  }
}
