internal import GGUF
public import Tensors

/// The experts of one layer: which source tensors they come from and how they are cut.
public struct ExpertLayer: Hashable, Sendable {
  /// A source tensor of the layer, shape (experts, rows, columns).
  public struct Source: Hashable, Sendable {
    /// Role of the tensor; `.gateUp` for a fused one.
    public let role: ExpertRole
    /// Element type.
    public let type: TensorType
    /// Index in the table of tensors.
    public let tensor: Int
    /// Index of the shard that holds the tensor.
    public let shard: Int
    /// Bytes from the start of the shard to expert 0.
    public let offset: UInt64
    /// Rows of one expert's matrix.
    public let rows: Int
    /// Columns of one expert's matrix.
    public let columns: Int

    /// Bytes of one expert's matrix.
    public var byteCount: Int { rows * type.rowBytes(columns: columns) }
    /// Where expert `index` starts in the shard.
    public func offset(ofExpert index: Int) -> UInt64 {
      offset + UInt64(index) * UInt64(byteCount)
    }
  }

  /// Block number N of `blk.N`.
  public let layer: Int
  /// Experts of the layer, 1 to ``PackLimits/experts``.
  public let expertCount: Int
  /// Gate and up, or fused gate_up, then down.
  public let sources: [Source]
  /// How each expert is cut, in packed and in in-place packs alike.
  public let geometry: SliceGeometry

  /// Name of the layer's file in a packed directory.
  public var fileName: String { Self.fileName(layer: layer) }
  /// Bytes of the layer's file.
  public var fileBytes: UInt64 { UInt64(expertCount) * UInt64(geometry.recordStride) }

  static func fileName(layer: Int) -> String {
    let digits = String(layer)
    return "layer-" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits + ".experts"
  }

  /// Collects the expert tensors of block `layer` and checks that they fit each other.
  ///
  /// `tensors` are role, index in the source's table and tensor; `path` is for messages. Throws
  /// `.unsupportedSource` when one is missing or contradicts the others.
  init(
    layer: Int, tensors: [(role: ExpertRole, index: Int, tensor: GGUFTensor)], path: String
  ) throws(PackError) {
    func fail(_ message: String) -> PackError {
      PackError(.unsupportedSource, path: path, "block \(layer): \(message)")
    }
    var byRole: [ExpertRole: Source] = [:]
    var experts: Int?
    for (role, index, tensor) in tensors {
      guard byRole[role] == nil else { throw fail("two tensors hold the \(role.rawValue) experts") }
      let shape = tensor.dimensions
      guard shape.count == 3, let columns = Int(exactly: shape[0]),
        let rows = Int(exactly: shape[1]), let count = Int(exactly: shape[2])
      else {
        throw fail("\(tensor.name): expected 3 dimensions [columns, rows, experts], found \(shape)")
      }
      guard (1...PackLimits.experts).contains(count) else {
        throw fail("\(tensor.name): expected 1 to \(PackLimits.experts) experts, found \(count)")
      }
      guard experts == nil || experts == count else {
        throw fail("\(tensor.name): expected \(experts ?? 0) experts as before, found \(count)")
      }
      experts = count
      byRole[role] = Source(
        role: role, type: tensor.type, tensor: index, shard: tensor.shard, offset: tensor.offset,
        rows: rows, columns: columns)
    }
    guard let expertCount = experts, let down = byRole[.down] else {
      throw fail(
        "expected a tensor ffn_down_exps.weight beside the other expert tensors, found none")
    }
    let gate: TensorType?
    let up: Source
    let intermediate: Int
    if let fused = byRole[.gateUp] {
      guard byRole[.gate] == nil, byRole[.up] == nil else {
        throw fail("expected either ffn_gate_up_exps or ffn_gate_exps and ffn_up_exps, found both")
      }
      guard fused.rows % 2 == 0 else {
        throw fail("ffn_gate_up_exps: expected an even number of rows, found \(fused.rows)")
      }
      (gate, up, intermediate) = (fused.type, fused, fused.rows / 2)
    } else {
      guard let plain = byRole[.up] else {
        throw fail("expected ffn_up_exps or ffn_gate_up_exps beside ffn_down_exps, found neither")
      }
      (gate, up, intermediate) = (byRole[.gate]?.type, plain, plain.rows)
    }
    if let gate = byRole[.gate], gate.rows != up.rows || gate.columns != up.columns {
      throw fail(
        "ffn_gate_exps is \(gate.rows) x \(gate.columns), ffn_up_exps \(up.rows) x \(up.columns); "
          + "expected equal shapes")
    }
    guard down.columns == intermediate else {
      throw fail(
        "ffn_down_exps: expected \(intermediate) columns, the rows of up, found \(down.columns)")
    }
    self.layer = layer
    self.expertCount = expertCount
    self.sources = [.gate, .up, .gateUp, .down].compactMap { byRole[$0] }
    self.geometry = SliceGeometry(
      intermediate: intermediate, hidden: up.columns, output: down.rows, gate: gate, up: up.type,
      down: down.type)
  }
}
