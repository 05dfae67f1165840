public import FileIO
public import GGUF
public import Tensors

/// An opened pack: every table checked, nothing of the weights read yet.
///
/// Opening reads manifest, headers and checksum table and proves each against its digest; offsets
/// are recomputed from the headers. Expert and resident bytes are proved when they are read.
/// Immutable; any thread may use it.
public struct PackDirectory: Sendable {
  /// A file that expert data is read from.
  public struct DataFile: Sendable {
    /// Where the file is opened.
    public let path: String
    /// Length of the file that the manifest states.
    public let byteCount: UInt64
  }

  /// Path of the directory as given.
  public let path: String
  /// Kind, sources and files, as `manifest.json` gives them.
  public let manifest: PackManifest
  /// XXH3-128 of `manifest.json`, which has the digests of all other files: packs with the same one
  /// have the same content.
  public let digest: Digest128
  /// Headers of the source: metadata, and tensors with their offsets in the source.
  public let source: GGUFFile
  /// The header archives, a shard each.
  public let archives: [HeaderArchive]
  /// Where every tensor lives, computed from ``source``.
  public let layout: PackLayout
  /// Checksums of all extents and resident blocks, proved by the digest of their file.
  public let checksums: ChecksumTable
  /// How the layers' files are spread over ``volumes``.
  public let stripe: Stripe
  /// The directories with the layers' files: the volumes of a striped pack, else the pack's own.
  public let volumes: [String]
  /// What ``ExpertPlacement/Read/file`` counts: the layers' files in the order of the layout, of each
  /// those in the volumes in their order, or the source shards of an in-place pack.
  public let files: [DataFile]
  private let layerPositions: [Int: Int]
  private let residentPlaces: [String: Int]

  /// Opens the pack at `path` and checks that all its files have their lengths.
  public static func open(_ path: String) throws -> PackDirectory {
    let pack = try PackDirectory(contentsOf: path)
    for file in pack.allFiles {
      for stored in pack.storedFiles(of: file) { try pack.checkLength(stored) }
    }
    return pack
  }

  /// Opens the pack at `path` without looking at the files that hold weights, for a verifier that
  /// wants to find all damage.
  public init(contentsOf path: String) throws {
    let manifestPath = path + "/" + PackManifest.fileName
    let text = try Self.manifestBytes(directory: path)
    let manifest = try PackManifest.parse(text, path: manifestPath)
    func invalid(_ message: String) -> PackError {
      PackError(.invalidManifest, path: manifestPath, message)
    }

    guard !manifest.sources.isEmpty else {
      throw invalid("sources: expected at least one shard, found none")
    }
    let records = manifest.recordsByName
    var shards: [GGUFShard] = []
    var archives: [HeaderArchive] = []
    for (index, item) in manifest.sources.enumerated() {
      let name = HeaderArchive.fileName(shard: index)
      guard let record = records[name] else {
        throw invalid("expected a file \(name) for source shard \(item.name), found none")
      }
      guard item.header_bytes <= UInt64(PackLimits.archiveBytes) else {
        throw invalid(
          "source shard \(item.name): expected at most \(PackLimits.archiveBytes) header bytes, "
            + "found \(item.header_bytes)")
      }
      // The largest that zstd makes of so many bytes, and some.
      guard record.bytes <= item.header_bytes + item.header_bytes / 128 + 4096 else {
        throw invalid(
          "\(name): expected less than the \(item.header_bytes) header bytes that it compresses, "
            + "found \(record.bytes)")
      }
      guard item.bytes <= PackLimits.sourceBytes else {
        throw invalid(
          "source shard \(item.name): expected at most \(PackLimits.sourceBytes) bytes, found "
            + "\(item.bytes)")
      }
      guard (manifest.kind == .inPlace) == (item.path != nil) else {
        throw invalid("source shard \(item.name): a path belongs to in-place packs alone")
      }
      let frame = try Self.provenBytes(record, directory: path)
      let (shard, archive) = try HeaderArchive.open(
        frame: frame, byteCount: Int(item.header_bytes),
        path: Self.sourcePath(item, directory: path), fileSize: item.bytes, shard: index)
      shards.append(shard)
      archives.append(archive)
    }
    let source = try GGUFFile(shards: shards)
    let layout = try PackLayout(source: source)
    let architecture = try PackManifest.architecture(of: source)
    guard manifest.architecture == architecture else {
      throw invalid(
        "architecture: expected \"\(architecture)\" as in the headers, found "
          + "\"\(manifest.architecture.prefix(64))\"")
    }
    guard manifest.requantized == TypeChange(source.metadata) else {
      throw invalid("requantized: expected what the archived header says, found something else")
    }
    // A row has more bytes than this: what the headers claim is not spelled out for a shorter file.
    guard source.tensors.count <= text.count / 64 else {
      throw invalid(
        "expected a table of \(source.tensors.count) tensors, as the archived headers have them, found "
          + "\(text.count) bytes in all")
    }
    let tensors = ManifestTensor.table(source: source, layout: layout)
    guard manifest.text(layout: layout, tensors: tensors).utf8.elementsEqual(text) else {
      throw invalid(
        "differs from the manifest that the archived headers give; it was not written by a "
          + "writer of format version \(manifest.version)")
    }

    guard let table = records[ChecksumTable.fileName] else {
      throw invalid("expected a file \(ChecksumTable.fileName), found none")
    }
    let tableBytes = 8 * ChecksumTable.count(layout: layout, kind: manifest.kind)
    guard table.bytes == UInt64(tableBytes) else {
      throw invalid(
        "\(table.name): expected \(tableBytes) bytes for the layers and blocks of the "
          + "pack, found \(table.bytes)")
    }
    // Read first: its length proves that memory for the table is no empty claim.
    let stored = try Self.provenBytes(table, directory: path)
    var checksums = ChecksumTable(layout: layout, kind: manifest.kind)
    checksums.load(stored)

    let stripe = manifest.volumes.isEmpty ? .none : Stripe(count: manifest.volumes.count)
    let volumes = try Self.volumes(of: manifest, directory: path)
    self.path = path
    self.manifest = manifest
    self.stripe = stripe
    self.volumes = volumes
    digest = text.withUnsafeBytes { XXH3.hash128($0) }
    self.source = source
    self.archives = archives
    self.layout = layout
    self.checksums = checksums
    files =
      manifest.kind == .packed
      ? layout.layers.flatMap { layer in
        volumes.indices.map { volume in
          DataFile(
            path: volumes[volume] + "/" + layer.fileName,
            byteCount: stripe.fileBytes(layer, volume: volume))
        }
      }
      : shards.map { DataFile(path: $0.path, byteCount: $0.fileSize) }
    layerPositions = Dictionary(
      uniqueKeysWithValues: layout.layers.enumerated().map { ($1.layer, $0) })
    residentPlaces = Dictionary(
      uniqueKeysWithValues: layout.residentOrder.map { (source.tensors[$0].name, $0) })
    try Self.checkFileNames(manifest, layout: layout, directory: path)
  }

  /// Layers with experts, by block number.
  public var expertLayers: [ExpertLayer] { layout.layers }

  /// The experts of block `layer`, or nil when it has none.
  public func expertLayer(_ layer: Int) -> ExpertLayer? {
    layerPositions[layer].map { layout.layers[$0] }
  }

  /// Bytes of the largest slot an expert needs.
  public var maximumSlotBytes: Int {
    layout.layers.map { ExpertPlacement.slotBytes($0, kind: manifest.kind) }.max() ?? 0
  }

  /// How expert `expert` of block `layer` is read and computed. Traps when there is none.
  public func placement(layer: Int, expert: Int) -> ExpertPlacement {
    guard let position = layerPositions[layer],
      (0..<layout.layers[position].expertCount).contains(expert)
    else { preconditionFailure("no expert \(expert) in layer \(layer)") }
    let record = layout.layers[position]
    return switch manifest.kind {
    case .packed:
      ExpertPlacement(
        packed: record, position: position, expert: expert, stripe: stripe, checksums: checksums)
    case .inPlace:
      ExpertPlacement(inPlace: record, position: position, expert: expert, checksums: checksums)
    }
  }

  /// A tensor of the resident image.
  public struct ResidentTensor: Sendable {
    /// Element type.
    public let type: TensorType
    /// ggml order, fastest axis first.
    public let dimensions: [UInt64]
    /// Bytes from the start of the resident image.
    public let offset: Int
    /// Bytes of the data.
    public let byteCount: Int
  }

  /// The resident tensor called `name`, or nil.
  public func residentTensor(_ name: String) -> ResidentTensor? {
    guard let index = residentPlaces[name], case .resident(let offset) = layout.places[index] else {
      return nil
    }
    let tensor = source.tensors[index]
    return ResidentTensor(
      type: tensor.type, dimensions: tensor.dimensions, offset: Int(offset),
      byteCount: Int(tensor.byteCount))
  }

  /// Bytes of the resident image.
  public var residentByteCount: Int { Int(layout.residentBytes) }
}
