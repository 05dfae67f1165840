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

  /// Opens the files of `source` alone; throws, with nothing changed, when another process converts them
  /// or their file system has no holes.
  init(_ source: GGUFFile) throws {
    files = try source.shards.map { try File.updating($0.path) }
    headers = source.shards.map { $0.header.byteCount }
    for file in files {
      guard file.lockAlone() else {
        throw FileIOError(
          .inUse, path: file.path,
          message: "is being read by another conversion; --consume needs it alone, wait for it")
      }
      guard try file.canPunch() else {
        throw FileIOError(
          .system, path: file.path,
          message: "its file system cannot give back parts of a file (no hole punching); convert "
            + "without --consume, or move the file to ext4, XFS, Btrfs or APFS")
      }
    }
  }

  /// Gives back the headers, which the pack has.
  func punchHeaders() throws {
    for (file, count) in zip(files, headers) { try file.punch(0..<count) }
  }

  /// Gives back `range` of a shard, whole pages.
  func punch(_ range: Range<UInt64>, ofShard shard: Int) throws { try files[shard].punch(range) }

  /// Gives back all that is left.
  func punchAll() throws { for file in files { try Self.punchAll(file) } }

  /// Gives back all that is left of the files at `paths`.
  static func punchAll(_ paths: [String]) throws {
    for path in paths { try punchAll(try File.updating(path)) }
  }

  private static func punchAll(_ file: File) throws {
    // Past the end, for a block that the file ends in goes only when the hole covers it.
    try file.punch(0..<(try file.size()).roundedUp(to: 1 << 16))
  }
}
