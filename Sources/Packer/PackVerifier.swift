internal import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
internal import GGUF

/// Reads all of a pack and names every place that is not as it was written.
public struct PackVerifier: Sendable {
  /// What a verification found.
  public struct Report: Sendable {
    /// Bytes read.
    public let bytes: UInt64
    /// Damaged places: by file, then offset.
    public let findings: [PackFinding]
    /// Expert slices and resident blocks that were checked one by one.
    public let checkedSlices: Int
  }

  private let directory: String
  private let threads: Int

  /// A verifier of the pack at `directory` that reads `threads` files at a time.
  public init(directory: String, threads: Int) {
    self.directory = directory
    self.threads = threads
  }

  /// Reads the pack; throws only when there is nothing to verify (no directory, a newer version).
  public func verify(
    willRead total: (UInt64) -> Void = { _ in }, progress: @escaping PackProgress
  ) throws -> Report {
    guard FileManager.default.fileExists(atPath: directory) else {
      throw FileIOError(.notFound, path: directory, message: "no such directory")
    }
    guard Directory.exists(directory) else {
      throw FileIOError(.system, path: directory, message: "is a file, expected a pack's directory")
    }
    let log = FindingLog()
    let pack: PackDirectory
    do {
      pack = try PackDirectory(contentsOf: directory)
    } catch let error as PackError where error.code == .unsupportedVersion {
      throw error
    } catch {
      if let error = error as? PackError, error.code == .notAPack, !holdsPackFiles { throw error }
      try verifyWholeFiles(log: log, willRead: total, progress: progress)
      let finding = Self.finding(for: error, directory: directory)
      // The file that kept the pack from opening may have been named with its bytes.
      if !log.names(finding.file) { log.add(finding) }
      return log.report
    }
    let files = pack.allFiles
    let isInPlace = pack.manifest.kind == .inPlace
    // The sources of an in-place pack are read twice: for their digests, then place by place.
    let sourceBytes = isInPlace ? pack.manifest.sources.reduce(0) { $0 + $1.bytes } : 0
    total(files.reduce(sourceBytes) { $0 + $1.byteCount })
    try FileScan.run(
      try files.flatMap { try scans($0, of: pack, log: log) }, threads: threads, log: log,
      progress: progress)
    if isInPlace {
      try InPlaceVerifier(pack: pack, threads: threads).verify(log: log, progress: progress)
    }
    return log.report
  }

  /// Whether the directory without a manifest has been a pack, or was to become one.
  private var holdsPackFiles: Bool {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return names.contains(ChecksumTable.fileName) || names.contains(PackJournal.fileName)
      || names.contains { $0.hasPrefix("layer-") && $0.hasSuffix(".experts") }
  }

  private static func unreadable(
    _ file: PackDirectory.ExpectedFile, _ error: FileIOError
  ) -> PackFinding {
    PackFinding(.unreadable, file: file.name, length: file.byteCount, detail: error.message)
  }

  /// Without usable tables, whole-file digests still say which other files are intact.
  private func verifyWholeFiles(
    log: FindingLog, willRead total: (UInt64) -> Void, progress: @escaping PackProgress
  ) throws {
    guard let manifest = try? PackManifest.load(directory: directory) else { return }
    // The names and lengths are those of a manifest that has been refused: claims.
    let files = PackDirectory.ownFiles(manifest, directory: directory).filter { file in
      let parts = file.name.split(separator: "/", omittingEmptySubsequences: false)
      // What a striped pack has in its volumes is in no place that a refused manifest can be trusted with.
      return (manifest.volumes.isEmpty || !file.name.hasSuffix(".experts")) && parts.count <= 2
        && parts.allSatisfy { !["", ".", ".."].contains($0) }
    }
    total(files.reduce(0) { $0.addingReportingOverflow($1.byteCount).partialValue })
    let scans = try files.compactMap { file -> FileScan? in
      guard let length = try readableLength(of: file, log: log) else { return nil }
      return FileScan(
        place: RecordPlace(file.path), byteCount: length, unit: Self.plainUnit,
        check: { _, _ in nil }, unreadable: { Self.unreadable(file, range: $1, $2) },
        finish: { digest in
          length == file.byteCount ? Self.wholeFileFinding(file, digest: digest) : nil
        })
    }
    try FileScan.run(scans, threads: threads, log: log, progress: progress)
  }

  /// Unit of files that have one digest.
  private static let plainUnit = 1 << 20

  /// Bytes of `file` that can be read, with a finding when they are not as many as expected; nil for
  /// none.
  private func readableLength(
    of file: PackDirectory.ExpectedFile, log: FindingLog
  ) throws -> UInt64? {
    do {
      guard let opened = try check(length: file, log: log) else { return nil }
      return min(try opened.size(), file.byteCount)
    } catch let error as FileIOError {
      log.add(Self.unreadable(file, error))
      return nil
    }
  }

  private static func unreadable(
    _ file: PackDirectory.ExpectedFile, range: Range<UInt64>, _ error: FileIOError
  ) -> PackFinding {
    PackFinding(
      .unreadable, file: file.name, offset: range.lowerBound,
      length: range.upperBound - range.lowerBound, detail: error.message)
  }

  /// How `file` is read and checked; empty when there is nothing to read.
  private func scans(
    _ file: PackDirectory.ExpectedFile, of pack: PackDirectory, log: FindingLog
  ) throws -> [FileScan] {
    guard let part = PackPart(file, of: pack), part.stored.count > 1 else {
      return try scan(file, of: pack, log: log).map { [$0] } ?? []
    }
    let lengths = try part.stored.map { try readableLength(of: $0, log: log) }
    let before = part.stored.reduce(0) { $0 + log.count(of: $1.name) }
    guard before > 0 else {
      return [
        scan(part, of: pack, length: file.byteCount, log: log) { digest in
          part.stored.allSatisfy { log.count(of: $0.name) == 0 }
            ? Self.wholeFileFinding(file, digest: digest) : nil
        }
      ]
    }
    // What is there of the volumes is judged quarter by quarter; the digest is that of all of them.
    return zip(part.stored.indices, lengths).compactMap { volume, length in
      length.map { length in
        FileScan(
          place: RecordPlace(part.stored[volume].path), byteCount: length, unit: part.unitBytes,
          check: { index, bytes in
            log.didCheck()
            return part.damage(
              unit: part.stripe.quarter(index, of: volume), bytes: bytes, table: pack.checksums)
          },
          unreadable: { index, _, error in
            part.finding(
              .unreadable, unit: part.stripe.quarter(index, of: volume), error.message)
          }, finish: { _ in nil })
      }
    }
  }

  private func scan(
    _ part: PackPart, of pack: PackDirectory, length: UInt64, log: FindingLog,
    finish: @escaping @Sendable (Digest128) -> PackFinding?
  ) -> FileScan {
    let table = pack.checksums
    return FileScan(
      place: part.place, byteCount: length, unit: part.unitBytes,
      check: { unit, bytes in
        log.didCheck()
        return part.damage(unit: unit, bytes: bytes, table: table)
      },
      unreadable: { unit, _, error in
        part.finding(.unreadable, unit: unit, error.message)
      }, finish: finish)
  }

  /// How a file in the pack's directory is read and checked; nil when there is nothing to read.
  private func scan(
    _ file: PackDirectory.ExpectedFile, of pack: PackDirectory, log: FindingLog
  ) throws -> FileScan? {
    let part = PackPart(file, of: pack)
    let stored = part?.stored[0] ?? file
    guard let length = try readableLength(of: stored, log: log) else { return nil }
    let before = log.count(of: stored.name)
    let finish: @Sendable (Digest128) -> PackFinding? = { digest in
      // Of a file that was cut at the end of a unit all that is there is right.
      length == file.byteCount && log.count(of: stored.name) == before
        ? Self.wholeFileFinding(file, digest: digest) : nil
    }
    guard let part else {
      return FileScan(
        place: RecordPlace(file.path), byteCount: length, unit: Self.plainUnit,
        check: { _, _ in nil }, unreadable: { Self.unreadable(file, range: $1, $2) },
        finish: finish)
    }
    return scan(part, of: pack, length: length, log: log, finish: finish)
  }

  private static func wholeFileFinding(
    _ file: PackDirectory.ExpectedFile, digest: Digest128
  ) -> PackFinding? {
    guard digest.description != file.digest else { return nil }
    return PackFinding(
      .damaged, file: file.name, length: file.byteCount, coversFile: true,
      detail: "checksum of the file is \(digest), the manifest says \(file.digest)")
  }

  /// Opens `file`, noting a missing, cut or extended one; nil when there is nothing to read.
  private func check(length file: PackDirectory.ExpectedFile, log: FindingLog) throws -> File? {
    guard try File.readingIfPresent(file.path) != nil else {
      log.add(
        PackFinding(
          .missing, file: file.name, length: file.byteCount,
          detail: "is missing, expected \(file.byteCount) bytes"))
      return nil
    }
    let opened = try File.readingDirect(file.path)
    let size = try opened.size()
    if size < file.byteCount {
      log.add(
        PackFinding(
          .truncated, file: file.name, offset: size, length: file.byteCount - size,
          detail: "is cut short: expected \(file.byteCount) bytes, found \(size)"))
    } else if size > file.byteCount {
      log.add(
        PackFinding(
          .extended, file: file.name, offset: file.byteCount, length: size - file.byteCount,
          detail: "is too long: expected \(file.byteCount) bytes, found \(size)"))
    }
    return opened
  }

  /// The finding for an error that keeps the pack from opening.
  private static func finding(for error: any Error, directory: String) -> PackFinding {
    guard let error = error as? PackError else {
      return PackFinding(.invalid, file: PackManifest.fileName, detail: "\(error)")
    }
    let prefix = directory + "/"
    let file =
      error.code == .wrongVolume
      ? error.path
      : error.path.hasPrefix(prefix)
        ? String(error.path.dropFirst(prefix.count)) : PackManifest.fileName
    let kind: PackFinding.Kind =
      switch error.code {
      case .missing, .wrongVolume: .missing
      case .wrongLength: .truncated
      case .damaged: .damaged
      case .notAPack: PackJournal.exists(in: directory) ? .unfinished : .missing
      default: .invalid
      }
    return PackFinding(kind, file: file, detail: error.message)
  }
}
