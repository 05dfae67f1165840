#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
public import FileIO
public import GGUF

/// What `manifest.json` says beyond what follows from the source's headers.
///
/// The file also spells out the tables of tensors and layers, for people and for other readers.
/// They follow from the headers, so they are written from a ``PackLayout`` and, on reading, the
/// whole file is made again and compared byte for byte.
public struct PackManifest: Sendable {
  /// Name of the file; its presence is what makes a directory a pack.
  public static let fileName = "manifest.json"
  /// Value of `format`.
  public static let format = "moepack"
  /// The newest version that this code reads and writes.
  public static let newestVersion: UInt64 = 3

  /// A shard of the source.
  public struct Source: Sendable, Codable {
    /// File name without directories.
    public let name: String
    /// Length of the shard.
    public let bytes: UInt64
    /// XXH3-128 of the whole shard, hexadecimal.
    public let xxh3_128: String
    /// Bytes of the shard that belong to no tensor: length of its decompressed header archive.
    public let header_bytes: UInt64
    /// In-place packs only: where the shard lies, absolute or relative to the pack.
    public let path: String?

    /// A shard as a writer met it.
    public init(
      name: String, bytes: UInt64, digest: Digest128, headerBytes: UInt64, path: String?
    ) {
      self.name = name
      self.bytes = bytes
      xxh3_128 = digest.description
      header_bytes = headerBytes
      self.path = path
    }
  }

  /// A file of the pack, named relative to it.
  public struct PackedFile: Sendable, Codable {
    /// Name relative to the pack.
    public let name: String
    /// Length of the file.
    public let bytes: UInt64
    /// XXH3-128 of the whole file, hexadecimal.
    public let xxh3_128: String

    /// A file as a writer wrote it.
    public init(name: String, bytes: UInt64, digest: Digest128) {
      self.name = name
      self.bytes = bytes
      xxh3_128 = digest.description
    }
  }

  /// Where expert data lies.
  public let kind: PackKind
  /// `general.architecture` of the source.
  public let architecture: String
  /// The source's shards, in order.
  public let sources: [Source]
  /// Every file of the pack but the manifest, sorted by name.
  public let files: [PackedFile]
  /// Where the source's weights come from when their types were changed for it, as its header says.
  public let requantized: TypeChange?
  /// Ids of the volumes of a striped pack (``PackVolumes``), in order; empty for others.
  public let volumes: [String]

  /// Version of the format that the pack needs: 3 for a striped one, 2 for changed types, else 1, so that a
  /// program of version 1 reads what it can.
  public var version: UInt64 { !volumes.isEmpty ? 3 : requantized != nil ? 2 : 1 }

  /// `general.architecture` of a source, `unknown` where it has none.
  public static func architecture(of source: GGUFFile) throws -> String {
    try source.metadata.optionalString("general.architecture") ?? "unknown"
  }

  /// A manifest with these parts; files are sorted by name, and a striped pack is over `volumeCount`
  /// volumes, others over none.
  public init(
    kind: PackKind, architecture: String, sources: [Source], files: [PackedFile],
    requantized: TypeChange?, volumeCount: Int = 0
  ) {
    volumes =
      volumeCount == 0
      ? [] : PackVolumes.ids(count: volumeCount, sources: sources, files: files)
    self.kind = kind
    self.architecture = architecture
    self.sources = sources
    self.requantized = requantized
    self.files = files.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  private struct Stored: Decodable {
    let kind: String
    let architecture: String
    let sources: [Source]
    let files: [PackedFile]
    let requantized: TypeChange?
    let digest: String
    let volumes: [String]?
  }

  private struct Preamble: Decodable {
    let format: String
    let version: UInt64
  }

  private static let blank = String(repeating: "0", count: 32)
  private static func digestMember(_ digest: String) -> String { "\"digest\": \"\(digest)\"" }

  /// Reads the manifest of the pack at `directory` and checks its own digest, nothing else.
  public static func load(directory: String) throws -> PackManifest {
    try parse(
      try PackDirectory.manifestBytes(directory: directory), path: directory + "/" + fileName)
  }

  /// Reads the independent parts of a manifest and checks its own digest.
  static func parse(_ bytes: [UInt8], path: String) throws(PackError) -> PackManifest {
    let data = Data(bytes)
    let decoder = JSONDecoder()
    let preamble: Preamble
    let stored: Stored
    do {
      preamble = try decoder.decode(Preamble.self, from: data)
      guard preamble.format == format else {
        throw PackError(
          .notAPack, path: path,
          "expected format \"\(format)\", found \"\(preamble.format.prefix(40))\"")
      }
      guard (1...newestVersion).contains(preamble.version) else {
        throw PackError(
          .unsupportedVersion, path: path,
          "the pack has format version \(preamble.version), this program reads versions 1 to "
            + "\(newestVersion); "
            + "use a newer moepack, or pack the source again with this one")
      }
      stored = try decoder.decode(Stored.self, from: data)
    } catch let error as PackError {
      throw error
    } catch {
      throw PackError(
        .damaged, path: path,
        "is not a manifest (\(bytes.count) bytes that do not parse: \(Self.reason(error))); "
          + "the pack was damaged after it was written, pack the source again")
    }
    guard Digest128(hexadecimal: stored.digest) != nil else {
      throw PackError(
        .damaged, path: path,
        "digest: expected 32 hexadecimal digits, found \"\(stored.digest.prefix(40))\"")
    }
    let text = String(decoding: bytes, as: UTF8.self)
    let found = text.replacing(
      digestMember(stored.digest), with: digestMember(blank), maxReplacements: 1)
    let digest = digest(of: found)
    guard digest.description == stored.digest else {
      throw PackError(
        .damaged, path: path,
        "checksum is \(digest), the manifest says \(stored.digest.prefix(40)); it was altered "
          + "after it was written")
    }
    guard let kind = PackKind(rawValue: stored.kind) else {
      throw PackError(
        .invalidManifest, path: path,
        "kind: expected \"packed\" or \"in_place\", found \"\(stored.kind.prefix(40))\"")
    }
    try checkNames(sources: stored.sources, files: stored.files, path: path)
    let volumes = stored.volumes ?? []
    guard volumes.isEmpty || (kind == .packed && volumes.count <= PackLimits.splits) else {
      throw PackError(
        .invalidManifest, path: path,
        "volumes: expected at most \(PackLimits.splits), and none but in a packed pack, found "
          + "\(volumes.count)")
    }
    let manifest = PackManifest(
      kind: kind, architecture: stored.architecture, sources: stored.sources, files: stored.files,
      requantized: stored.requantized, volumeCount: volumes.count)
    guard manifest.volumes == volumes else {
      throw PackError(
        .invalidManifest, path: path,
        "volumes: expected the ids that follow from sources and headers, found others")
    }
    return manifest
  }

  private static func reason(_ error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, _): "no member \"\(key.stringValue)\""
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
      "wrong type of \"\(context.codingPath.last?.stringValue ?? "the document")\""
    default: "not JSON"
    }
  }

  private static func digest(of text: String) -> Digest128 {
    var copy = text
    return copy.withUTF8 { XXH3.hash128(UnsafeRawBufferPointer($0)) }
  }

  /// The bytes of the file for `layout`, digest included.
  public func text(layout: PackLayout, tensors: [ManifestTensor]) -> String {
    let blank = document(layout: layout, tensors: tensors, digest: Self.blank)
    let digest = Self.digest(of: blank)
    return document(layout: layout, tensors: tensors, digest: digest.description)
  }

  private func document(
    layout: PackLayout, tensors: [ManifestTensor], digest: String
  ) -> String {
    var members: [String: CanonicalJSON] = [
      "format": .string(Self.format),
      "version": .integer(version),
      "page_bytes": .integer(UInt64(PackLimits.pageBytes)),
      "splits": .integer(UInt64(PackLimits.splits)),
      "kind": .string(kind.rawValue),
      "architecture": .string(architecture),
      "sources": .array(sources.map(\.json)),
      "tensors": .array(tensors.map(\.json)),
      "layers": .array(layout.layers.map { $0.json(kind: kind) }),
      "resident_bytes": .integer(layout.residentBytes),
      "files": .array(files.map(\.json)),
      "digest": .string(digest),
    ]
    if let requantized { members["requantized"] = requantized.json }
    if !volumes.isEmpty { members["volumes"] = .array(volumes.map { .string($0) }) }
    return CanonicalJSON.object(members).text
  }
}
