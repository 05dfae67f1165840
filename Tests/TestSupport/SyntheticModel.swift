internal import FileIO
public import GGUF
public import Tensors

/// A small random checkpoint in the `*_exps` convention, for tests of everything that only moves
/// bytes. The same description gives the same file.
public struct SyntheticModel: Sendable {
  /// A layer with experts.
  public struct Layer: Sendable {
    /// Number of experts.
    public var experts = 3
    /// Columns of gate and up, rows of down.
    public var hidden = 64
    /// Rows of gate and up, columns of down.
    public var intermediate = 128
    /// Type of the gate matrices, nil for a layer without them.
    public var gate: TensorType? = .f16
    /// Type of the up matrices, and of both when they are fused.
    public var up: TensorType = .f16
    /// Type of the down matrices.
    public var down: TensorType = .f16
    /// Whether gate and up are stored as one tensor.
    public var isFused = false

    /// A layer of three experts in half precision.
    public init() {}

    /// A layer with these properties.
    public init(
      experts: Int = 3, hidden: Int = 64, intermediate: Int = 128, gate: TensorType? = .f16,
      up: TensorType = .f16, down: TensorType = .f16, isFused: Bool = false
    ) {
      self.experts = experts
      self.hidden = hidden
      self.intermediate = intermediate
      self.gate = gate
      self.up = up
      self.down = down
      self.isFused = isFused
    }
  }

  /// The layers, block 0 first.
  public var layers: [Layer]
  /// `general.alignment`; nil leaves it out.
  public var alignment: UInt32?
  /// Tensors added as they are.
  public var extra: [(name: String, type: TensorType, dimensions: [UInt64])] = []

  /// A model of these layers.
  public init(layers: [Layer] = [Layer()], alignment: UInt32? = nil) {
    self.layers = layers
    self.alignment = alignment
  }

  /// Writes the checkpoint to `path`.
  @discardableResult
  public func write(to path: String, seed: UInt64 = 1) throws -> GGUFWriter.Layout {
    var metadata = GGUFMetadata()
    metadata.set(.string(GGUFString("synthetic")), for: "general.architecture")
    metadata.set(.uint32(2), for: "synthetic.expert_used_count")
    return try write(to: path, metadata: metadata, tensors: tensors, seed: seed)
  }

  /// Writes the checkpoint as `count` shards and returns the paths.
  public func writeSplit(
    directory: String, name: String, count: Int, seed: UInt64 = 1
  ) throws -> [String] {
    let all = tensors
    let perShard = (all.count + count - 1) / count
    return try (0..<count).map { shard in
      func digits(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: 5 - text.count) + text
      }
      let path = "\(directory)/\(name)-\(digits(shard + 1))-of-\(digits(count)).gguf"
      var metadata = GGUFMetadata()
      if shard == 0 { metadata.set(.string(GGUFString("synthetic")), for: "general.architecture") }
      metadata.set(.uint16(UInt16(shard)), for: "split.no")
      metadata.set(.uint16(UInt16(count)), for: "split.count")
      metadata.set(.int32(Int32(all.count)), for: "split.tensors.count")
      let part = all[min(all.count, shard * perShard)..<min(all.count, (shard + 1) * perShard)]
      try write(to: path, metadata: metadata, tensors: Array(part), seed: seed + UInt64(shard))
      return path
    }
  }

  private typealias Tensor = (name: String, type: TensorType, dimensions: [UInt64])

  private var tensors: [Tensor] {
    var result: [Tensor] = [("token_embd.weight", .f16, [64, 40])]
    for (index, layer) in layers.enumerated() {
      let (h, i, e) = (UInt64(layer.hidden), UInt64(layer.intermediate), UInt64(layer.experts))
      func name(_ part: String) -> String { "blk.\(index).ffn_\(part)" }
      result.append((name("down_exps.weight"), layer.down, [i, h, e]))
      if layer.isFused {
        result.append((name("gate_up_exps.weight"), layer.up, [h, 2 * i, e]))
      } else {
        if let gate = layer.gate { result.append((name("gate_exps.weight"), gate, [h, i, e])) }
        result.append((name("up_exps.weight"), layer.up, [h, i, e]))
      }
      result.append((name("gate_inp.weight"), .f32, [h, e]))
      result.append((name("gate_inp.bias"), .f32, [e]))
      result.append((name("up_exps.bias"), .f32, [i, e]))
    }
    return result + extra + [("output_norm.weight", .f32, [64])]
  }

  @discardableResult
  private func write(
    to path: String, metadata: GGUFMetadata, tensors: [Tensor], seed: UInt64
  ) throws -> GGUFWriter.Layout {
    var writer = GGUFWriter(metadata: metadata, alignment: alignment)
    for tensor in tensors {
      writer.add(tensor.name, type: tensor.type, dimensions: tensor.dimensions)
    }
    var random = RandomBytes(seed: seed)
    return try writer.write(to: try File.creating(path)) { tensor, emit in
      let bytes = random.next(count: Int(tensor.byteCount))
      try emit(bytes.span.bytes)
    }
  }
}

/// Reproducible bytes: SplitMix64 (Steele, Lea, Flood 2014).
public struct RandomBytes: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// The sequence that `seed` gives.
  public init(seed: UInt64) { state = seed }

  /// The next eight bytes.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// `count` bytes.
  public mutating func next(count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
      withUnsafeBytes(of: next().littleEndian) { bytes.append(contentsOf: $0) }
    }
    bytes.removeLast(bytes.count - count)
    return bytes
  }
}
