import GGUF
import ModelGraph
import TestSupport
import Testing

@Suite("Hyper-parameters")
struct ConfigTests {
  private func config(_ model: SmallModel) throws -> ModelConfig {
    try ModelConfig(
      metadata: model.metadata, vocabularySize: SmallModel.vocabulary, path: "model.gguf")
  }

  @Test("a complete set is read")
  func complete() throws {
    let config = try config(SmallModel())
    #expect(config.layerCount == 4)
    #expect(config.mixers == [.gatedDeltaNet, .gatedDeltaNet, .gatedDeltaNet, .fullAttention])
    #expect(config.attentionLayerCount == 1)
    #expect(config.deltaNetLayerCount == 3)
    #expect(config.attention.groupSize == 2)
    #expect(config.deltaNet.channelCount == 64)
    #expect(config.experts.usedCount == 2)
    #expect(config.vocabularySize == 48)
  }

  @Test("the checkpoint's hyper-parameters are read")
  func checkpoint() throws {
    let config = try ModelConfig(pack: try Checkpoint.pack())
    #expect(config.layerCount == 8)
    #expect(config.hiddenSize == 256)
    #expect(config.vocabularySize == 8192)
    #expect(config.contextLength == 4096)
    #expect(config.attention.rotatedSize == 16)
    #expect(config.attention.ropeBase == 100_000)
  }

  @Test("another architecture is refused by its name")
  func architecture() throws {
    var model = SmallModel()
    model.metadata.set(.string("gpt-oss"), for: "general.architecture")
    let error = #expect(throws: ModelGraphError.self) { try config(model) }
    #expect(error?.code == .unsupported)
    #expect(
      error?.message
        == "model.gguf: architecture 'gpt-oss': moepack can pack it, moerun cannot run it yet; "
        + "it runs qwen35moe")
  }

  @Test(
    "a missing number is refused by its key",
    arguments: [
      "block_count", "context_length", "embedding_length", "attention.head_count",
      "attention.layer_norm_rms_epsilon", "expert_count", "expert_used_count",
      "expert_feed_forward_length", "expert_shared_feed_forward_length", "ssm.conv_kernel",
      "ssm.state_size", "ssm.group_count", "ssm.time_step_rank", "ssm.inner_size",
    ])
  func missing(_ key: String) throws {
    var model = SmallModel()
    model.metadata.remove("qwen35moe." + key)
    let error = #expect(throws: GGUFError.self) { try config(model) }
    #expect(error?.code == .missingKey)
    #expect(error?.description.contains("qwen35moe.\(key)") == true)
  }

  static let wrong: [(String, GGUFValue)] = [
    ("block_count", .uint32(0)), ("block_count", .uint64(.max)), ("block_count", .int32(-1)),
    ("block_count", .string("4")), ("embedding_length", .uint32(0)),
    ("embedding_length", .uint32(.max)), ("context_length", .uint64(1 << 60)),
    ("attention.head_count", .uint32(0)), ("attention.head_count", .uint32(1 << 31)),
    ("attention.head_count_kv", .uint32(3)), ("attention.head_count_kv", .uint32(0)),
    ("attention.key_length", .uint32(0)), ("attention.value_length", .uint32(8)),
    ("rope.dimension_count", .uint32(7)), ("rope.dimension_count", .uint32(18)),
    ("rope.freq_base", .float32(0)), ("rope.freq_base", .float32(.nan)),
    ("rope.freq_base", .float32(-.infinity)), ("rope.scaling.type", .string("yarn")),
    ("attention.layer_norm_rms_epsilon", .float32(.nan)),
    ("attention.layer_norm_rms_epsilon", .float32(-1)), ("expert_count", .uint32(1)),
    ("expert_count", .uint32(.max)), ("expert_used_count", .uint32(0)),
    ("expert_used_count", .uint32(7)), ("expert_feed_forward_length", .uint32(0)),
    ("expert_gating_func", .uint32(2)), ("nextn_predict_layers", .uint32(4)),
    ("nextn_predict_layers", .uint64(.max)), ("full_attention_interval", .uint32(0)),
    ("ssm.conv_kernel", .uint32(1)), ("ssm.conv_kernel", .uint32(1 << 20)),
    ("ssm.state_size", .uint32(7)), ("ssm.group_count", .uint32(3)),
    ("ssm.group_count", .uint32(0)), ("ssm.time_step_rank", .uint32(.max)),
    ("ssm.inner_size", .uint32(33)), ("attention.recurrent_layers", .uint32(1)),
    (
      "attention.recurrent_layers",
      .array(GGUFArray(of: .bool, [GGUFValue.bool(true), .bool(false)]))
    ),
  ]

  @Test("a number out of range is an error that names a key of its kind", arguments: wrong)
  func range(_ key: String, _ value: GGUFValue) throws {
    var model = SmallModel()
    model.set(key, value)
    let error = #expect(throws: (any Error).self) { try config(model) }
    let message = error.map { "\($0)" } ?? ""
    // Of two numbers that contradict each other, either may be named.
    #expect(message.contains("qwen35moe.") && message.contains("expected"), "\(message)")
    #expect(error is GGUFError || error is ModelGraphError)
  }

  @Test("a vocabulary of no or too many tokens is refused", arguments: [0, 1 << 40, UInt64.max])
  func vocabulary(_ size: UInt64) throws {
    #expect(throws: ModelGraphError.self) {
      try ModelConfig(metadata: SmallModel.metadata, vocabularySize: size, path: "model.gguf")
    }
  }
}
