internal import GGUF
internal import FileIO
internal import SystemPackage

extension PackDirectory {
  /// Name of the file that holds the resident image of a packed directory.
  public static let residentFileName = "resident.bin"

  /// A file whose length the manifest states: one of the pack, or a source of an in-place pack.
  public struct ExpectedFile: Sendable {
    /// Name in messages: relative to the pack, or the source's path.
    public let name: String
    /// Where the file is opened.
    public let path: String
    /// Length of the file that the manifest states.
    public let byteCount: UInt64
    /// XXH3-128 of the whole file, hexadecimal.
    public let digest: String
  }

  /// Every file the pack needs, the manifest aside.
  public var allFiles: [ExpectedFile] {
    let own = Self.ownFiles(manifest, directory: path)
    guard manifest.kind == .inPlace else { return own }
    return own
      + zip(manifest.sources, source.shards).map {
        ExpectedFile(name: $1.path, path: $1.path, byteCount: $0.bytes, digest: $0.xxh3_128)
      }
  }

  /// The files that lie in the pack's directory, the manifest aside.
  public static func ownFiles(_ manifest: PackManifest, directory: String) -> [ExpectedFile] {
    manifest.files.map {
      ExpectedFile(
        name: $0.name, path: directory + "/" + $0.name, byteCount: $0.bytes, digest: $0.xxh3_128)
    }
  }

  /// The files that hold `file` on the disk: of a striped pack's layer one in each volume, without digests,
  /// called by their paths; else the file itself.
  public func storedFiles(of file: ExpectedFile) -> [ExpectedFile] {
    guard !manifest.volumes.isEmpty,
      let layer = layout.layers.first(where: { $0.fileName == file.name })
    else { return [file] }
    return volumes.enumerated().map { volume, directory in
      let path = directory + "/" + file.name
      return ExpectedFile(
        name: path, path: path, byteCount: stripe.fileBytes(layer, volume: volume), digest: "")
    }
  }

  /// The directories of the layer files; throws unless every volume is there and says that it is the one.
  package static func volumes(of manifest: PackManifest, directory: String) throws -> [String] {
    guard !manifest.volumes.isEmpty else { return [directory] }
    let path = directory + "/" + PackVolumes.listName
    guard let list = try PackVolumes.load(directory: directory) else {
      throw PackError(
        .missing, path: path,
        "is missing; write the directories of the pack's \(manifest.volumes.count) volumes into it, a "
          + "line each, in order")
    }
    guard list.paths.count == manifest.volumes.count else {
      throw PackError(
        .invalidManifest, path: path,
        "expected a line for each of the \(manifest.volumes.count) volumes, found "
          + "\(list.paths.count)")
    }
    let directories = list.directories(of: directory)
    for (volume, volumePath) in directories.enumerated() {
      try PackVolumes.check(
        volumePath, volume: volume, ids: manifest.volumes, pack: directory)
    }
    return directories
  }

  /// Throws when `file` is missing or has another length than the manifest says.
  public func checkLength(_ file: ExpectedFile) throws {
    guard let opened = try File.readingIfPresent(file.path) else {
      throw Self.missing(file.path, byteCount: file.byteCount)
    }
    let found = try opened.size()
    guard found == file.byteCount else {
      throw PackError(
        .wrongLength, path: file.path,
        "expected \(file.byteCount) bytes, found \(found); the file was "
          + (found < file.byteCount ? "cut short" : "extended") + ", pack the source again")
    }
  }

  private static func missing(_ path: String, byteCount: UInt64) -> PackError {
    PackError(
      .missing, path: path, "is missing, expected \(byteCount) bytes; pack the source again")
  }

  /// The manifest's bytes, or an error that says what the directory is instead of a pack.
  static func manifestBytes(directory: String) throws -> [UInt8] {
    let path = directory + "/" + PackManifest.fileName
    guard let file = try File.readingIfPresent(path) else {
      if PackJournal.exists(in: directory) {
        throw PackError(
          .notAPack, path: directory,
          "is an unfinished pack: its conversion was interrupted; run moepack convert again with "
            + "--resume")
      }
      throw PackError(
        .notAPack, path: directory,
        "is not a pack: expected a directory with a \(PackManifest.fileName); moepack convert "
          + "makes one from a GGUF")
    }
    let size = try file.size()
    guard size <= UInt64(PackLimits.manifestBytes) else {
      throw PackError(
        .invalidManifest, path: path,
        "expected at most \(PackLimits.manifestBytes) bytes, found \(size)")
    }
    return try file.bytes(at: 0, count: Int(size))
  }

  /// The content of a small file of the pack, proved by length and digest.
  package static func provenBytes(_ record: PackManifest.PackedFile, directory: String) throws
    -> [UInt8]
  {
    let path = directory + "/" + record.name
    guard let file = try File.readingIfPresent(path) else {
      throw missing(path, byteCount: record.bytes)
    }
    let size = try file.size()
    guard size == record.bytes else {
      throw PackError(
        .wrongLength, path: path,
        "expected \(record.bytes) bytes, found \(size); pack the source again")
    }
    let bytes = try file.bytes(at: 0, count: Int(size))
    let digest = bytes.withUnsafeBytes { XXH3.hash128($0) }
    guard digest.description == record.xxh3_128 else {
      throw PackError(
        .damaged, path: path,
        "checksum is \(digest), the manifest says \(record.xxh3_128); pack the source again")
    }
    return bytes
  }

  /// Where a shard of an in-place pack lies; for packed directories only a name for messages.
  static func sourcePath(_ source: PackManifest.Source, directory: String) -> String {
    guard let recorded = source.path else { return source.name }
    return FilePath(directory).pushing(FilePath(recorded)).string
  }

  /// The files of a pack follow from its layout; anything else could name a path elsewhere.
  static func checkFileNames(
    _ manifest: PackManifest, layout: PackLayout, directory: String
  ) throws(PackError) {
    var expected = [ChecksumTable.fileName: UInt64?.none]
    for shard in manifest.sources.indices {
      expected[HeaderArchive.fileName(shard: shard)] = UInt64?.none
    }
    if manifest.kind == .packed {
      expected[residentFileName] = layout.residentBytes
      for layer in layout.layers { expected[layer.fileName] = layer.fileBytes }
    }
    let path = directory + "/" + PackManifest.fileName
    for file in manifest.files {
      guard let length = expected.removeValue(forKey: file.name) else {
        throw PackError(.invalidManifest, path: path, "unexpected file \"\(file.name)\"")
      }
      guard length == nil || length == file.bytes else {
        throw PackError(
          .invalidManifest, path: path,
          "\(file.name): expected \(length ?? 0) bytes from the layout, found \(file.bytes)")
      }
    }
    if let missing = expected.keys.min() {
      throw PackError(.invalidManifest, path: path, "expected a file \(missing), found none")
    }
  }
}

/// The file whose presence marks a directory as the work of a converter: created first, removed
/// after the manifest stands.
public enum PackJournal {
  /// Name of the file, in the pack's directory. Its content is the converter's alone; so are files whose
  /// names begin with it.
  public static let fileName = "convert.journal"

  /// Whether a conversion of `directory` began and did not end.
  public static func exists(in directory: String) -> Bool {
    (try? File.reading(directory + "/" + fileName)) != nil
  }
}
