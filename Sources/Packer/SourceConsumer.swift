internal import ExpertPack
internal import FileIO
internal import GGUF

/// Gives the bytes of a source back to its file system as they arrive in a pack.
///
/// The headers go with the first bytes: from then on no program takes the file for a model, and a
/// conversion goes on from the archives of the headers.
struct SourceConsumer: Sendable {
  private let files: [File]
  private let headers: [UInt64]
  /// When the files were last written to; giving parts of them back does not count.
  private let modified: [Int64]

  /// Opens the files of `source` alone; throws, with nothing changed, when another process converts them
  /// or their file system has no holes.
  init(_ source: GGUFFile) throws {
    files = try source.shards.map { try File.updating($0.path) }
    headers = source.shards.map { $0.header.byteCount }
    modified = files.map(\.modified)
    for file in files {
      guard file.lockAlone() else {
        throw FileIOError(
          .inUse, path: file.path,
          message: "is being read by another conversion; --consume needs it alone, wait for it")
      }
      guard file.linkCount <= 1 else {
        throw FileIOError(
          .system, path: file.path,
          message:
            "has \(file.linkCount) names (hard links), and --consume would empty it under all of them; "
            + "remove the others, or convert without --consume")
      }
      // To try it counts as a change.
      let modified = file.modified
      let canPunch = try file.canPunch()
      try file.setModified(modified)
      guard canPunch else {
        throw FileIOError(
          .system, path: file.path,
          message: "its file system cannot give back parts of a file (no hole punching); convert "
            + "without --consume, or move the file to ext4, XFS, Btrfs or APFS")
      }
    }
  }

  /// Gives back the headers, which the pack has, and `ranges` of shards, whole pages.
  func punch(_ ranges: [(shard: Int, range: Range<UInt64>)]) throws {
    try checkUntouched()
    for (file, count) in zip(files, headers) { try file.punch(0..<count) }
    for (shard, range) in ranges { try files[shard].punch(range) }
    for (file, time) in zip(files, modified) { try file.setModified(time) }
  }

  /// Gives back all that is left.
  func punchAll() throws {
    try checkUntouched()
    for file in files { try Self.punchAll(file) }
  }

  /// Throws, with nothing more given back, when anybody else has written to the files.
  private func checkUntouched() throws {
    for (file, time) in zip(files, modified) where file.modified != time {
      throw PackError(
        .wrongSource, path: file.path,
        "was written to by another program while it was packed; nothing more of it was given back. "
          + "What is in the pack is from before; what was written since may be missing there")
    }
  }

  /// Gives back all that is left of the files at `paths`.
  static func punchAll(_ paths: [String]) throws {
    for path in paths { try punchAll(try File.updating(path)) }
  }

  private static func punchAll(_ file: File) throws {
    // Past the end, for a block that the file ends in goes only when the hole covers it.
    try file.punch(0..<(try file.size()).roundedUp(to: 1 << 16))
  }
}
