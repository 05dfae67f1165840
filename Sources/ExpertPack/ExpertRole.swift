/// What an expert matrix does in `y = down( silu(gate x) * (up x) )`.
public enum ExpertRole: String, Sendable, CaseIterable, Hashable {
  case gate, up, down
  /// Gate rows followed by up rows in one tensor.
  case gateUp = "gate_up"

  /// The layer and role that a GGUF tensor name stands for, or nil when the tensor is not an
  /// expert weight: `blk.17.ffn_gate_exps.weight` is the gate of layer 17.
  ///
  /// Biases and scales of experts (`ffn_gate_exps.bias`) are one short vector an expert; they are
  /// no expert weights in this sense and stay resident.
  static func parse(tensorName: String) -> (layer: Int, role: ExpertRole)? {
    let parts = tensorName.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "blk", parts[3] == "weight",
      let layer = Int(parts[1]), String(layer) == parts[1], (0..<PackLimits.layers).contains(layer),
      parts[2].hasPrefix("ffn_"), parts[2].hasSuffix("_exps"),
      let role = ExpertRole(rawValue: String(parts[2].dropFirst(4).dropLast(5)))
    else { return nil }
    return (layer, role)
  }
}

/// Numbers that version 1 of the format fixes, and caps on what a pack may claim.
public enum PackLimits {
  /// Slices and read units are whole pages of this size: the largest page of the systems that read
  /// packs (16 KiB on Apple silicon), so that one pack serves all.
  public static let pageBytes = 16384
  /// Equal reads an expert record is cut into.
  public static let splits = 4
  /// Alignment of a tensor in the resident image, bytes.
  public static let residentAlignment = 256
  /// Bytes of the resident image that share one checksum.
  public static let residentBlockBytes = 1 << 20
  /// Layers a pack may have. Real models have up to 128.
  public static let layers = 4096
  /// Experts a layer may have. Real models have up to 512.
  public static let experts = 1 << 16
  /// Bytes of `manifest.json`; the largest known model needs less than 1 MiB.
  public static let manifestBytes = 256 << 20
  /// Bytes of all source shards, and so of every sum of their parts. Real models have up to 2^40.
  public static let sourceBytes: UInt64 = 1 << 44
  /// Values of `checksums.xxh3`. Real models need up to 2^20.
  public static let checksums = 1 << 26
  /// Bytes of a source shard that belong to no tensor: header, padding, tail.
  public static let archiveBytes = 1 << 30

  /// Bytes that a header archive of `compressed` bytes may inflate to. Headers compress to a third; the
  /// allowance is for small ones with much padding, and keeps a frame of a megabyte from filling memory
  /// with a gigabyte of zeros.
  public static func archiveBytes(compressed: UInt64) -> UInt64 {
    min(UInt64(archiveBytes), max(48 << 20, 32 * min(compressed, UInt64(archiveBytes))))
  }
}
