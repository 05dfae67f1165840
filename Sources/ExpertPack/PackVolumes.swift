internal import FileIO
internal import SystemPackage

/// The directories over which a striped pack spreads its layer files, as `volumes.txt` lists them.
///
/// The list is there to be edited, so no digest covers it: the manifest has an id for each volume, which
/// a file in the volume repeats.
public struct PackVolumes: Sendable, Hashable {
  /// Name of the list, in the pack's directory.
  public static let listName = "volumes.txt"
  /// Name of the file in a volume that says which one it is.
  public static let idName = "volume.txt"

  /// The directories in the order of the volumes, absolute or relative to the pack's.
  public let paths: [String]

  private static let limit = 64 << 10

  /// The volumes at `paths`, 1 to ``PackLimits/splits`` of them.
  public init(paths: [String]) { self.paths = paths }

  /// Reads the list of the pack at `directory`; nil when there is none.
  public static func load(directory: String) throws -> PackVolumes? {
    let path = directory + "/" + listName
    guard let file = try File.readingIfPresent(path) else { return nil }
    func invalid(_ message: String) -> PackError {
      PackError(.invalidManifest, path: path, message)
    }
    let size = try file.size()
    guard size <= UInt64(limit) else {
      throw invalid("expected at most \(limit) bytes, found \(size)")
    }
    guard let text = String(validating: try file.bytes(at: 0, count: Int(size)), as: UTF8.self)
    else {
      throw invalid("expected UTF-8")
    }
    let lines = text.split(whereSeparator: \.isNewline).map(String.init).filter {
      !$0.hasPrefix("#")
    }
    guard (1...PackLimits.splits).contains(lines.count), lines.allSatisfy({ !$0.contains("\0") })
    else {
      throw invalid(
        "expected 1 to \(PackLimits.splits) lines with the directory of a volume each, found "
          + "\(lines.count)")
    }
    guard lines.allSatisfy({ $0.utf8.count <= PackManifest.pathBytes }) else {
      throw invalid(
        "expected directories of at most \(PackManifest.pathBytes) bytes, found a longer line")
    }
    return PackVolumes(paths: lines)
  }

  /// The list as it is written.
  public var text: String {
    """
    # The directories of this pack's volumes, in order: absolute, or relative to the pack's directory.
    # To move a volume, move its directory and change its line here.

    """ + paths.map { $0 + "\n" }.joined()
  }

  /// Where the volumes of the pack at `directory` are.
  public func directories(of directory: String) -> [String] {
    paths.map { FilePath(directory).pushing(FilePath($0)).string }
  }

  /// The ids of `count` volumes of a pack with these sources and files.
  public static func ids(
    count: Int, sources: [PackManifest.Source], files: [PackManifest.PackedFile]
  ) -> [String] {
    let digests = Dictionary(files.map { ($0.name, $0.xxh3_128) }) { first, _ in first }
    let archives = sources.indices.map { digests[HeaderArchive.fileName(shard: $0)] ?? "" }
    return ids(
      count: count, sources: zip(sources, archives).map { ($0.name, $0.bytes, $1) })
  }

  /// The ids of `count` volumes of a pack whose shards have these names, lengths and digests of their
  /// header archives.
  public static func ids(
    count: Int, sources: [(name: String, bytes: UInt64, archive: String)]
  ) -> [String] {
    (1...count).map { number in
      var text = "moepack volume \(number) of \(count)\n"
      for source in sources { text += "\(source.bytes) \(source.archive) \(source.name)\n" }
      return text.withUTF8 { XXH3.hash128(UnsafeRawBufferPointer($0)).description }
    }
  }

  /// Content of ``idName`` in volume number `volume`, from 0, of `ids`.
  public static func label(_ volume: Int, ids: [String]) -> String {
    "moepack volume \(volume + 1) of \(ids.count): \(ids[volume])\n"
  }

  /// Throws unless `directory` is volume number `volume` of `ids`; `pack` is for the message.
  public static func check(
    _ directory: String, volume: Int, ids: [String], pack: String
  ) throws(PackError) {
    let next = "; if it was moved, change its line in \(pack)/\(listName)"
    guard Directory.exists(directory) else {
      throw PackError(
        .wrongVolume, path: directory,
        "is not there, expected the directory of volume \(volume + 1) of \(ids.count)\(next)")
    }
    let label = label(volume, ids: ids)
    let found = try? File.contents(directory + "/" + idName, atMost: 4096)
    guard let found else {
      throw PackError(
        .wrongVolume, path: directory,
        "has no \(idName): it is not volume \(volume + 1) of this pack\(next)")
    }
    guard found.elementsEqual(label.utf8) else {
      throw PackError(
        .wrongVolume, path: directory + "/" + idName,
        "expected \"\(label.dropLast())\", found another text: this is not volume \(volume + 1) of "
          + "this pack\(next)")
    }
  }
}
