internal import Tensors
public import GGUF

/// A row of the manifest's table of tensors.
public struct ManifestTensor: Sendable {
  let tensor: GGUFTensor
  let place: PackLayout.Place

  /// The rows for `source`, in source order.
  public static func table(source: GGUFFile, layout: PackLayout) -> [ManifestTensor] {
    zip(source.tensors, layout.places).map { ManifestTensor(tensor: $0, place: $1) }
  }

  var json: CanonicalJSON {
    var members: [String: CanonicalJSON] = [
      "name": .string(tensor.name),
      "type": .string(tensor.type.name),
      "dimensions": .array(tensor.dimensions.map { .integer($0) }),
      "shard": .integer(UInt64(tensor.shard)),
      "offset": .integer(tensor.offset),
      "bytes": .integer(tensor.byteCount),
    ]
    switch place {
    case .resident(let offset):
      members["resident_offset"] = .integer(offset)
    case .experts(let layer, let role):
      members["layer"] = .integer(UInt64(layer))
      members["role"] = .string(role.rawValue)
    }
    return .object(members)
  }
}

extension PackManifest.Source {
  var json: CanonicalJSON {
    var members: [String: CanonicalJSON] = [
      "name": .string(name), "bytes": .integer(bytes), "xxh3_128": .string(xxh3_128),
      "header_bytes": .integer(header_bytes),
    ]
    if let path { members["path"] = .string(path) }
    return .object(members)
  }
}

extension PackManifest.PackedFile {
  var json: CanonicalJSON {
    .object(["name": .string(name), "bytes": .integer(bytes), "xxh3_128": .string(xxh3_128)])
  }
}

extension ExpertLayer {
  /// The layer's record: geometry of the slices, and where the bytes are.
  func json(kind: PackKind) -> CanonicalJSON {
    var members: [String: CanonicalJSON] = [
      "layer": .integer(UInt64(layer)),
      "experts": .integer(UInt64(expertCount)),
      "compute_slices": .integer(UInt64(geometry.computeSlices)),
    ]
    switch kind {
    case .packed:
      members["file"] = .string(fileName)
      members["stride"] = .integer(UInt64(geometry.recordStride))
      members["components"] = .array(
        geometry.components.map {
          .object([
            "role": .string($0.role.rawValue), "type": .string($0.type.name),
            "rows": .integer(UInt64($0.rows)), "columns": .integer(UInt64($0.columns)),
            "offset": .integer(UInt64($0.offset)),
          ])
        })
    case .inPlace:
      members["extents"] = .array(
        sources.map {
          .object([
            "role": .string($0.role.rawValue), "type": .string($0.type.name),
            "rows": .integer(UInt64($0.rows)), "columns": .integer(UInt64($0.columns)),
            "shard": .integer(UInt64($0.shard)), "offset": .integer($0.offset),
            "bytes": .integer(UInt64($0.byteCount)),
          ])
        })
    }
    return .object(members)
  }
}
