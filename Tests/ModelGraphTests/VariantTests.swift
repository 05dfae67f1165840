import ExpertPack
import ExpertStore
import GGUF
import ModelGraph
import TestSupport
import Tensors
import Testing

@Suite("Variants of the architecture")
struct VariantTests {
  private static let plain = Result { try SmallModel().logits() }

  @Test("fused gate and up compute the same bits as separate ones")
  func fused() throws {
    var model = SmallModel()
    model.tensors = SmallModel.tensors(isFused: true)
    #expect(try model.logits() == Self.plain.get())
  }

  @Test("multi-token prediction blocks take no part in the main pass")
  func predictionBlocks() throws {
    var model = SmallModel()
    model.tensors = SmallModel.tensors(isFused: false, blocks: 5)
    model.tensors.append(("blk.4.nextn.eh_proj.weight", .f32, [64, 32]))
    model.set("block_count", .uint32(5))
    model.set("nextn_predict_layers", .uint32(1))
    #expect(try model.logits() == Self.plain.get())
    #expect(try model.load().store.slotCount == 24)
  }

  @Test("without a head of its own the embedding is the head")
  func tied() throws {
    var model = SmallModel()
    model.tensors.removeAll { $0.name == "output.weight" }
    let logits = try model.logits()
    #expect(logits.count == 8 * Int(SmallModel.vocabulary))
    #expect(try logits != Self.plain.get())
  }

  @Test("a list of recurrent layers says the same as an interval")
  func recurrentLayers() throws {
    var model = SmallModel()
    model.set(
      "attention.recurrent_layers",
      .array(GGUFArray(of: .bool, [true, true, true, false].map { GGUFValue.bool($0) })))
    model.set("full_attention_interval", .uint32(1))
    #expect(try model.logits() == Self.plain.get())
  }

  @Test("vectors stored as float16 count like float32 of the same values")
  func halfVectors() throws {
    var model = SmallModel()
    for (name, dimensions) in [
      ("blk.0.attn_norm.weight", [32]), ("blk.1.ssm_a", [4]), ("blk.2.ssm_conv1d.weight", [4, 64]),
      ("blk.3.attn_q_norm.weight", [16]), ("blk.1.ffn_gate_inp_shexp.weight", [32, 1]),
    ] as [(String, [UInt64])] {
      model.replace(name, type: .f16, dimensions: dimensions)
    }
    #expect(try model.logits() == Self.plain.get())
  }

  @Test(
    "a tensor of another shape is refused by name, with both shapes",
    arguments: [
      ("output_norm.weight", [31], "[32]"), ("blk.0.attn_qkv.weight", [32, 63], "[32, 64]"),
      ("blk.1.ssm_conv1d.weight", [64, 4], "[4, 64]"), ("blk.2.ssm_a", [5], "[4]"),
      ("blk.3.attn_q.weight", [32, 64], "[32, 128]"), ("output.weight", [32, 47], "[32, 48]"),
      ("blk.3.ffn_down_shexp.weight", [32, 16], "[16, 32]"),
    ] as [(String, [UInt64], String)])
  func shape(_ name: String, _ dimensions: [UInt64], _ expected: String) throws {
    var model = SmallModel()
    model.replace(name, dimensions: dimensions)
    let error = #expect(throws: ModelGraphError.self) { try model.load() }
    #expect(error?.code == .invalidTensor)
    #expect(
      error?.message.hasSuffix(
        ": tensor \(name): expected shape \(expected), found \(dimensions)") == true)
  }

  @Test(
    "a missing tensor is refused by name",
    arguments: [
      "token_embd.weight", "output_norm.weight", "blk.0.ssm_dt.bias", "blk.3.attn_k_norm.weight",
      "blk.2.ffn_gate_inp.weight", "blk.1.post_attention_norm.weight",
    ])
  func missing(_ name: String) throws {
    var model = SmallModel()
    model.tensors.removeAll { $0.name == name }
    let error = #expect(throws: ModelGraphError.self) { try model.load() }
    #expect(error?.message.contains("tensor \(name): expected ") == true)
  }

  @Test(
    "a weight that the graph would leave out is refused by name",
    arguments: [
      "blk.3.attn_q.bias", "blk.0.exp_probs_b.bias", "rope_freqs.weight",
      "blk.1.ffn_up_exps.scale",
    ])
  func unknown(_ name: String) throws {
    var model = SmallModel()
    model.tensors.append((name, .f32, [6]))
    let error = #expect(throws: ModelGraphError.self) { try model.load() }
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains("tensor \(name): ") == true)
  }

  @Test("experts of another shape, number or kind are refused by layer")
  func experts() throws {
    var narrow = SmallModel()
    for part in ["gate", "up"] {
      narrow.replace("blk.2.ffn_\(part)_exps.weight", dimensions: [32, 12, 6])
    }
    narrow.replace("blk.2.ffn_down_exps.weight", dimensions: [12, 32, 6])
    var few = SmallModel()
    few.set("expert_count", .uint32(7))
    for block in 0..<4 { few.replace("blk.\(block).ffn_gate_inp.weight", dimensions: [32, 7]) }
    var dense = SmallModel()
    dense.tensors.removeAll { $0.name.hasPrefix("blk.1.ffn_") && $0.name.contains("_exps") }
    var ungated = SmallModel()
    ungated.tensors.removeAll { $0.name == "blk.3.ffn_gate_exps.weight" }
    for (model, message) in [
      (narrow, ": layer 2: experts' gate: expected 24 x 32, found 12 x 32"),
      (few, ": layer 0: routed experts: expected 7, found 6"),
      (dense, ": layer 1: routed experts: expected 6, found none"),
      (ungated, ": layer 3: experts' gate: expected a matrix, found none"),
    ] {
      let error = #expect(throws: ModelGraphError.self) { try model.load() }
      #expect(error?.code == .invalidTensor)
      #expect(error?.message.hasSuffix(message) == true, "\(error?.message ?? "")")
    }
  }
}
