internal import Tensors
internal import ExpertPack
public import GGUF

/// The figures of the pack that a source would give. Pure: reads headers, writes nothing.
public struct PackPlan: Sendable, Encodable {
  /// One layer's records.
  public struct Layer: Sendable, Encodable, Hashable {
    /// Block number.
    public let layer: Int
    /// Experts of the layer.
    public let experts: Int
    /// Types of gate, up and down.
    public let types: [String]
    /// Bytes of weights of an expert.
    public let expertBytes: UInt64
    /// Bytes of its record on disk, padding included.
    public let recordBytes: UInt64
    /// Slices that compute alone: 4, 2 or 1.
    public let computeSlices: Int
    /// Bytes of padding in the layer.
    public let paddingBytes: UInt64
    /// Bytes of the layer's file.
    public let fileBytes: UInt64
  }

  /// `general.architecture` of the source.
  public let architecture: String
  /// Top-k of the model, where the metadata says so.
  public let expertsUsed: UInt64?
  /// Layers with experts, by block number.
  public let layers: [Layer]
  /// Bytes of all shards of the source.
  public let sourceBytes: UInt64
  /// Bytes of all expert records, padding included.
  public let expertBytes: UInt64
  /// Bytes of padding in the records.
  public let paddingBytes: UInt64
  /// Bytes of the resident image.
  public let residentBytes: UInt64
  /// Bytes of the table of checksums.
  public let checksumBytes: UInt64
  /// Bytes of the pack, but for manifest and compressed headers.
  public let packBytes: UInt64
  /// Bytes of records that one decoded token touches, in all layers but those that predict further
  /// tokens.
  public let bytesPerToken: UInt64?

  /// Experts of all layers but those that predict further tokens.
  public let decodedExperts: Int

  /// Plans `source`; throws when it cannot be packed.
  public init(source: GGUFFile) throws {
    let layout = try PackLayout(source: source)
    let architecture = try PackManifest.architecture(of: source)
    self.architecture = architecture
    let used = try source.metadata.optionalUnsigned("\(architecture).expert_used_count")
    expertsUsed = used
    let layers = layout.layers.map { layer in
      let geometry = layer.geometry
      let padding = geometry.recordStride - geometry.sliceBytes * geometry.computeSlices
      return Layer(
        layer: layer.layer, experts: layer.expertCount,
        types: geometry.components.map(\.type.name),
        expertBytes: UInt64(geometry.sliceBytes * geometry.computeSlices),
        recordBytes: UInt64(geometry.recordStride), computeSlices: geometry.computeSlices,
        paddingBytes: UInt64(padding) * UInt64(layer.expertCount), fileBytes: layer.fileBytes)
    }
    self.layers = layers
    sourceBytes = source.shards.reduce(0) { $0 + $1.fileSize }
    expertBytes = layers.reduce(0) { $0 + $1.fileBytes }
    paddingBytes = layers.reduce(0) { $0 + $1.paddingBytes }
    residentBytes = layout.residentBytes
    checksumBytes = 8 * UInt64(ChecksumTable.count(layout: layout, kind: .packed))
    packBytes = expertBytes + residentBytes + checksumBytes
    let blocks = try source.metadata.optionalUnsigned("\(architecture).block_count")
    let predicting = try source.metadata.optionalUnsigned("\(architecture).nextn_predict_layers")
    let decoding = blocks.map { $0 - min($0, predicting ?? 0) } ?? .max
    let decoded = layers.filter { UInt64($0.layer) < decoding }
    bytesPerToken = used.flatMap { used in
      decoded.allSatisfy { used <= UInt64($0.experts) }
        ? decoded.reduce(0) { $0 + $1.recordBytes * used } : nil
    }
    decodedExperts = decoded.reduce(0) { $0 + $1.experts }
  }

  /// Runs of consecutive layers with the same record.
  public struct LayerGroup: Sendable {
    /// The first of the run; the others differ in their number alone.
    public let first: Layer
    /// Numbers of the layers: `0-59`.
    public let name: String
    /// Layers of the run.
    public let count: Int
    /// Bytes of the run's files.
    public let bytes: UInt64
  }

  /// ``layers`` in runs of equal ones, for tables that people read.
  public var layerGroups: [LayerGroup] {
    var groups: [[Layer]] = []
    for layer in layers {
      if let last = groups.last?.last, last.layer + 1 == layer.layer, last.types == layer.types,
        last.experts == layer.experts, last.recordBytes == layer.recordBytes
      {
        groups[groups.count - 1].append(layer)
      } else {
        groups.append([layer])
      }
    }
    return groups.compactMap { group in
      guard let first = group.first, let last = group.last else { return nil }
      return LayerGroup(
        first: first,
        name: first.layer == last.layer ? "\(first.layer)" : "\(first.layer)-\(last.layer)",
        count: group.count, bytes: group.reduce(0) { $0 + $1.fileBytes })
    }
  }

  private enum CodingKeys: CodingKey {
    case architecture, expertsUsed, layers, sourceBytes, expertBytes, paddingBytes, residentBytes
    case checksumBytes, packBytes, bytesPerToken
  }
}
