import FileIO
import Foundation
import GGUF
import ModelGraph
import TestSupport
import Tensors

/// A Qwen3.5-MoE of a few thousand random weights, to be changed in every way that a file can be
/// wrong or different. Equal weights whatever the variant: each is drawn by its name.
struct SmallModel {
  typealias Tensor = (name: String, type: TensorType, dimensions: [UInt64])

  static let vocabulary: UInt64 = 48

  var metadata = Self.metadata
  var tensors = Self.tensors(isFused: false)

  /// Four decoder layers: three gated delta nets, one attention.
  static let metadata: GGUFMetadata = {
    var metadata = GGUFMetadata()
    metadata.set(.string("qwen35moe"), for: "general.architecture")
    let counts: [(String, UInt32)] = [
      ("block_count", 4), ("context_length", 64), ("embedding_length", 32),
      ("attention.head_count", 4), ("attention.head_count_kv", 2), ("attention.key_length", 16),
      ("attention.value_length", 16), ("rope.dimension_count", 8), ("expert_count", 6),
      ("expert_used_count", 2), ("expert_feed_forward_length", 24),
      ("expert_shared_feed_forward_length", 16), ("full_attention_interval", 4),
      ("ssm.conv_kernel", 4), ("ssm.state_size", 8), ("ssm.group_count", 2),
      ("ssm.time_step_rank", 4), ("ssm.inner_size", 32),
    ]
    for (key, value) in counts { metadata.set(.uint32(value), for: "qwen35moe." + key) }
    metadata.set(.float32(1e-6), for: "qwen35moe.attention.layer_norm_rms_epsilon")
    metadata.set(.float32(10000), for: "qwen35moe.rope.freq_base")
    return metadata
  }()

  static func tensors(isFused: Bool, blocks: Int = 4) -> [Tensor] {
    var result: [Tensor] = [
      ("token_embd.weight", .f32, [32, vocabulary]), ("output_norm.weight", .f32, [32]),
      ("output.weight", .f32, [32, vocabulary]),
    ]
    for block in 0..<blocks {
      var parts: [(String, [UInt64])] = [
        ("attn_norm.weight", [32]), ("post_attention_norm.weight", [32]),
        ("ffn_gate_inp.weight", [32, 6]), ("ffn_gate_inp_shexp.weight", [32]),
        ("ffn_gate_shexp.weight", [32, 16]), ("ffn_up_shexp.weight", [32, 16]),
        ("ffn_down_shexp.weight", [16, 32]), ("ffn_down_exps.weight", [24, 32, 6]),
      ]
      if isFused {
        parts.append(("ffn_gate_up_exps.weight", [32, 48, 6]))
      } else {
        parts += [("ffn_gate_exps.weight", [32, 24, 6]), ("ffn_up_exps.weight", [32, 24, 6])]
      }
      if block >= 3 {
        parts += [
          ("attn_q.weight", [32, 128]), ("attn_k.weight", [32, 32]), ("attn_v.weight", [32, 32]),
          ("attn_output.weight", [64, 32]), ("attn_q_norm.weight", [16]),
          ("attn_k_norm.weight", [16]),
        ]
      } else {
        parts += [
          ("attn_qkv.weight", [32, 64]), ("attn_gate.weight", [32, 32]),
          ("ssm_beta.weight", [32, 4]), ("ssm_alpha.weight", [32, 4]), ("ssm_dt.bias", [4]),
          ("ssm_a", [4]), ("ssm_conv1d.weight", [4, 64]), ("ssm_norm.weight", [8]),
          ("ssm_out.weight", [32, 32]),
        ]
      }
      result += parts.map { ("blk.\(block).\($0.0)", .f32, $0.1) }
    }
    return result
  }

  mutating func set(_ key: String, _ value: GGUFValue) {
    metadata.set(value, for: "qwen35moe." + key)
  }

  mutating func replace(_ name: String, type: TensorType = .f32, dimensions: [UInt64]) {
    tensors = tensors.map { $0.name == name ? (name, type, dimensions) : $0 }
  }

  /// The same with Q8_0 experts of four slices, and a shared one of two.
  static let quantized: SmallModel = {
    var model = SmallModel()
    model.set("expert_feed_forward_length", .uint32(128))
    model.set("expert_shared_feed_forward_length", .uint32(64))
    for block in 0..<4 {
      for (part, rows, suffix) in [("exps", 128, [6]), ("shexp", 64, [])]
        as [(String, UInt64, [UInt64])]
      {
        for name in ["gate", "up"] {
          model.replace(
            "blk.\(block).ffn_\(name)_\(part).weight", type: .q8_0, dimensions: [32, rows] + suffix)
        }
        model.replace(
          "blk.\(block).ffn_down_\(part).weight", type: .q8_0, dimensions: [rows, 32] + suffix)
      }
    }
    return model
  }()

  /// Writes and packs the model.
  func pack() throws -> PackedModel {
    let directory = try TemporaryDirectory()
    let path = directory.file("model.gguf")
    var writer = GGUFWriter(metadata: metadata)
    for tensor in tensors {
      writer.add(tensor.name, type: tensor.type, dimensions: tensor.dimensions)
    }
    try writer.write(to: try File.creating(path)) { tensor, emit in
      let bytes = Self.weights(tensor)
      try emit(bytes.span.bytes)
    }
    return try PackedModel(source: path, directory: directory)
  }

  func load(_ adjust: (inout ModelOptions) -> Void = { _ in }) throws -> Model {
    var options = ModelOptions(threads: 1)
    adjust(&options)
    // The directory goes with the value that owns it; an open store needs no names any more.
    let packed = try pack()
    return try withExtendedLifetime(packed) {
      try Model.load(pack: packed.pack, options: options)
    }
  }

  /// Logits of a short text.
  func logits(_ tokens: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6]) throws -> [Float] {
    let packed = try pack()
    let model = try Model.load(pack: packed.pack, options: ModelOptions(threads: 1))
    return try withExtendedLifetime(packed) { try Session(model: model).allLogits(tokens) }
  }

  /// Random weights; a fused tensor is made of the parts it stands for.
  private static func weights(_ tensor: GGUFTensor) -> [UInt8] {
    var floats: [Float] = []
    if tensor.name.contains("gate_up_exps") {
      let rows = 32 * 24
      let gate = values(tensor.name.replacing("gate_up", with: "gate"), rows * 6)
      let up = values(tensor.name.replacing("gate_up", with: "up"), rows * 6)
      for expert in 0..<6 {
        floats += gate[expert * rows..<(expert + 1) * rows]
        floats += up[expert * rows..<(expert + 1) * rows]
      }
    } else {
      floats = values(tensor.name, Int(tensor.elementCount))
    }
    var bytes: [UInt8] = []
    switch tensor.type {
    case .f32: for value in floats { bytes.appendLittleEndian(value.bitPattern) }
    case .f16: for value in floats { bytes.appendLittleEndian(half(value)) }
    case .q8_0:
      // Values are steps of 1/64, so this is exact too.
      for start in stride(from: 0, to: floats.count, by: 32) {
        bytes.appendLittleEndian(half(1 / 64))
        for value in floats[start..<start + 32] {
          bytes.append(UInt8(bitPattern: Int8(value * 64)))
        }
      }
    default: bytes = [UInt8](repeating: 0, count: Int(tensor.byteCount))
    }
    return bytes
  }

  /// Values of `[-0.25, 0.25)` in steps of 1/64, which float16 holds exactly; norms around 1.
  private static func values(_ name: String, _ count: Int) -> [Float] {
    var seed: UInt64 = 0
    for byte in name.utf8 { seed = seed &* 31 &+ UInt64(byte) }
    var random = RandomBytes(seed: seed)
    let offset: Float = name.contains("norm") ? 1 : name.hasSuffix("ssm_a") ? -0.5 : 0
    return random.next(count: count).map { byte in
      offset + Float(Int8(bitPattern: byte) / 8) / 64
    }
  }

  /// The float16 of a value that it holds exactly, without the Float16 type that macOS on x86 lacks.
  private static func half(_ value: Float) -> UInt16 {
    guard value != 0 else { return 0 }
    let bits = value.bitPattern
    let exponent = UInt16(truncatingIfNeeded: Int((bits >> 23) & 0xff) - 127 + 15)
    return UInt16(bits >> 31) << 15 | exponent << 10 | UInt16((bits >> 13) & 0x3ff)
  }
}
