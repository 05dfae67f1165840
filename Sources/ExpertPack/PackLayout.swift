public import GGUF

/// Whether expert data lies in the pack's own files or stays in the source.
public enum PackKind: String, Sendable {
  case packed
  case inPlace = "in_place"
}

/// Where every byte of a source lives in a pack: a pure function of the source's headers.
///
/// Writers follow it; readers recompute it from the headers kept in the pack and refuse a manifest
/// that says anything else, so no offset is ever taken on trust.
public struct PackLayout: Hashable, Sendable {
  /// Where a tensor's data lives.
  public enum Place: Hashable, Sendable {
    /// In the resident image, at this offset.
    case resident(offset: UInt64)
    /// In the expert records of a layer.
    case experts(layer: Int, role: ExpertRole)
  }

  /// Layers with experts, by block number.
  public let layers: [ExpertLayer]
  /// Place of each tensor, in source order.
  public let places: [Place]
  /// Indices of the resident tensors in the order of the resident image.
  public let residentOrder: [Int]
  /// Bytes of the resident image, whole pages.
  public let residentBytes: UInt64

  /// Lays out `source`; throws `.notMixtureOfExperts` for a dense model.
  public init(source: GGUFFile) throws(PackError) {
    let path = source.shards.first?.path ?? "source"
    var grouped: [Int: [(role: ExpertRole, index: Int, tensor: GGUFTensor)]] = [:]
    var roles = [(layer: Int, role: ExpertRole)?](repeating: nil, count: source.tensors.count)
    for (index, tensor) in source.tensors.enumerated() {
      guard let (layer, role) = ExpertRole.parse(tensorName: tensor.name) else { continue }
      roles[index] = (layer, role)
      grouped[layer, default: []].append((role, index, tensor))
    }
    guard !grouped.isEmpty else {
      throw PackError(
        .notMixtureOfExperts, path: path,
        "no tensor is named blk.N.ffn_*_exps.weight: this is a dense model, or one whose experts "
          + "are stored one tensor each; moepack packs mixture-of-experts models, and a dense "
          + "model has nothing to stream")
    }
    try Self.checkTotal(source.shards, path: path)
    var layers: [ExpertLayer] = []
    for layer in grouped.keys.sorted() {
      layers.append(try ExpertLayer(layer: layer, tensors: grouped[layer] ?? [], path: path))
    }

    let order = source.tensors.indices.filter { roles[$0] == nil }.map { index in
      (index, ResidentOrder(tensorName: source.tensors[index].name, index: index))
    }.sorted { $0.1 < $1.1 }.map(\.0)
    var places = roles.map { role in
      role.map { Place.experts(layer: $0.layer, role: $0.role) } ?? .resident(offset: 0)
    }
    var end: UInt64 = 0
    for index in order {
      // Tensors do not overlap within shards whose sum has been checked.
      let start = end.roundedUp(to: UInt64(PackLimits.residentAlignment))
      places[index] = .resident(offset: start)
      end = start + source.tensors[index].byteCount
    }
    self.layers = layers
    self.places = places
    self.residentOrder = order
    self.residentBytes = end.roundedUp(to: UInt64(PackLimits.pageBytes))
    let extents = layers.reduce(0) { $0 + $1.expertCount * PackLimits.splits }
    let checksums = UInt64(extents) + residentBytes / UInt64(PackLimits.residentBlockBytes) + 1
    guard checksums <= UInt64(PackLimits.checksums) else {
      throw PackError(
        .unsupportedSource, path: path,
        "expected at most \(PackLimits.checksums) slices and blocks in a pack, found \(checksums)")
    }
  }

  /// With the sum of the shards limited, no sum or product of their parts passes 63 bits.
  private static func checkTotal(_ shards: [GGUFShard], path: String) throws(PackError) {
    var rest = PackLimits.sourceBytes
    for shard in shards {
      guard shard.fileSize <= rest else {
        throw PackError(
          .unsupportedSource, path: path,
          "expected a source of at most \(PackLimits.sourceBytes) bytes, found \(shard.fileSize) "
            + (shards.count > 1 ? "in shard \(shard.path)" : ""))
      }
      rest -= shard.fileSize
    }
  }
}

/// Order of use: embedding, blocks by number, the rest of the main pass, then everything else;
/// source order within each.
private struct ResidentOrder: Comparable {
  let rank: Int
  let block: Int
  let index: Int

  init(tensorName: String, index: Int) {
    self.index = index
    let parts = tensorName.split(separator: ".")
    switch parts.first {
    case "token_embd": (rank, block) = (0, 0)
    case "blk" where parts.count > 1: (rank, block) = (1, Int(parts[1]) ?? Int.max)
    case "output_norm", "output": (rank, block) = (2, 0)
    default: (rank, block) = (3, 0)
    }
  }

  static func < (a: ResidentOrder, b: ResidentOrder) -> Bool {
    (a.rank, a.block, a.index) < (b.rank, b.block, b.index)
  }
}

extension UInt64 {
  /// The next multiple of `unit`, which is not zero. Traps on overflow.
  package func roundedUp(to unit: UInt64) -> UInt64 { (self + unit - 1) / unit * unit }
}
