public import ExpertPack
public import GGUF

extension ModelConfig {
  /// The only architecture that this graph computes.
  public static let supportedArchitecture = "qwen35moe"

  /// Most routed experts of a token.
  static let mostExpertsUsed = 1024

  /// Upper bounds of hyper-parameters: far above any model, low enough that no product of a few of
  /// them wraps.
  private enum Limit {
    static let layers = 1024
    static let size = 1 << 17
    static let heads = 4096
    static let headSize = 4096
    static let experts = 1 << 16
    static let convolutionWidth = 64
    static let vocabulary = 1 << 24
    static let context = 1 << 24
  }

  /// Reads the hyper-parameters of the model in `pack`.
  /// - Throws: ``ModelGraphError`` or `GGUFError` naming the key.
  public init(pack: PackDirectory) throws {
    let name = TensorName.embedding
    // The architecture first: other models may have no such tensor.
    try Self.checkArchitecture(pack.source.metadata, path: pack.path)
    guard let embedding = pack.residentTensor(name), embedding.dimensions.count == 2 else {
      throw ModelGraphError(
        .invalidTensor, "\(pack.path): tensor \(name): expected a matrix, found none")
    }
    try self.init(
      metadata: pack.source.metadata, vocabularySize: embedding.dimensions[1], path: pack.path)
  }

  /// Reads and checks hyper-parameters.
  /// - Parameters:
  ///   - metadata: Of the source GGUF; untrusted.
  ///   - vocabularySize: Rows of the embedding.
  ///   - path: What messages call the model.
  /// - Throws: `GGUFError` for a key that is absent, of another type or out of range;
  ///   ``ModelGraphError`` for numbers that contradict each other or ask for what is not supported.
  public init(metadata: GGUFMetadata, vocabularySize: UInt64, path: String) throws {
    let architecture = try Self.checkArchitecture(metadata, path: path)
    let keys = ConfigKeys(metadata: metadata, prefix: architecture, path: path)
    guard (1...UInt64(Limit.vocabulary)).contains(vocabularySize) else {
      throw ModelGraphError(
        .invalidTensor,
        "\(path): tensor \(TensorName.embedding): expected 1 to \(Limit.vocabulary) rows, found "
          + "\(vocabularySize)")
    }
    try Self.refuseVariants(keys)
    self.architecture = architecture
    self.vocabularySize = Int(vocabularySize)
    hiddenSize = try keys.count("embedding_length", atMost: Limit.size)
    contextLength = try keys.count("context_length", atMost: Limit.context)
    let epsilon = try keys.positive("attention.layer_norm_rms_epsilon", below: 1)
    rmsEpsilon = Float(epsilon)
    mixers = try Self.mixers(keys)
    attention = try Self.attention(keys, hiddenSize: hiddenSize)
    deltaNet = try Self.deltaNet(keys)
    let usedCount = try keys.count("expert_used_count", atMost: Self.mostExpertsUsed)
    let experts = Experts(
      count: try keys.count("expert_count", atMost: Limit.experts),
      usedCount: usedCount, modelUsedCount: usedCount,
      intermediateSize: try keys.count("expert_feed_forward_length", atMost: Limit.size),
      sharedIntermediateSize: try keys.count(
        "expert_shared_feed_forward_length", atMost: Limit.size))
    guard experts.usedCount <= experts.count else {
      throw keys.invalid(
        "expert_used_count", expected: "at most expert_count, \(experts.count)",
        found: "\(experts.usedCount)")
    }
    self.experts = experts
  }

  @discardableResult
  private static func checkArchitecture(
    _ metadata: GGUFMetadata, path: String
  ) throws -> String {
    let architecture = try metadata.string("general.architecture")
    guard architecture == supportedArchitecture else {
      throw ModelGraphError(
        .unsupported,
        "\(path): architecture \(architecture.quotedForMessage): moepack can pack it, moerun "
          + "cannot run it yet; it runs \(supportedArchitecture)")
    }
    return architecture
  }

  private static func mixers(_ keys: ConfigKeys) throws -> [Mixer] {
    let blocks = try keys.count("block_count", atMost: Limit.layers)
    let predicted = try keys.optionalCount("nextn_predict_layers", atMost: Limit.layers) ?? 0
    guard predicted < blocks else {
      throw keys.invalid(
        "nextn_predict_layers", expected: "less than block_count, \(blocks)",
        found: "\(predicted)")
    }
    let count = blocks - predicted
    let key = "attention.recurrent_layers"
    if let flags = try keys.metadata.optionalBools(keys.full(key)) {
      guard (count...blocks).contains(flags.count) else {
        throw keys.invalid(key, expected: "an entry a layer, \(count)", found: "\(flags.count)")
      }
      return flags.prefix(count).map { $0 ? .gatedDeltaNet : .fullAttention }
    }
    let interval = try keys.optionalCount("full_attention_interval", atMost: Limit.layers) ?? 4
    return (1...count).map { $0.isMultiple(of: interval) ? .fullAttention : .gatedDeltaNet }
  }

  private static func attention(_ keys: ConfigKeys, hiddenSize: Int) throws -> Attention {
    let heads = try keys.count("attention.head_count", atMost: Limit.heads)
    let keyValueHeads =
      try keys.optionalCount("attention.head_count_kv", atMost: Limit.heads) ?? heads
    guard heads.isMultiple(of: keyValueHeads) else {
      throw keys.invalid(
        "attention.head_count_kv", expected: "a divisor of attention.head_count, \(heads)",
        found: "\(keyValueHeads)")
    }
    let headSize =
      try keys.optionalCount("attention.key_length", atMost: Limit.headSize)
      ?? max(1, hiddenSize / heads)
    let valueSize =
      try keys.optionalCount("attention.value_length", atMost: Limit.headSize) ?? headSize
    guard valueSize == headSize else {
      throw keys.invalid(
        "attention.value_length", expected: "\(headSize) as attention.key_length",
        found: "\(valueSize)")
    }
    let rotated =
      try keys.optionalCount("rope.dimension_count", atMost: Limit.headSize) ?? headSize
    guard rotated.isMultiple(of: 2), rotated <= headSize else {
      throw keys.invalid(
        "rope.dimension_count", expected: "an even number up to the head size, \(headSize)",
        found: "\(rotated)")
    }
    let base =
      keys.has("rope.freq_base") ? try keys.positive("rope.freq_base", below: 1e15) : 10000
    return Attention(
      headCount: heads, keyValueHeadCount: keyValueHeads, headSize: headSize,
      rotatedSize: rotated, ropeBase: base)
  }

  private static func deltaNet(_ keys: ConfigKeys) throws -> DeltaNet {
    let result = DeltaNet(
      keyHeadCount: try keys.count("ssm.group_count", atMost: Limit.heads),
      valueHeadCount: try keys.count("ssm.time_step_rank", atMost: Limit.heads),
      headSize: try keys.count("ssm.state_size", atMost: Limit.headSize),
      convolutionWidth: try keys.count("ssm.conv_kernel", atMost: Limit.convolutionWidth))
    guard result.convolutionWidth >= 2 else {
      throw keys.invalid("ssm.conv_kernel", expected: "at least 2", found: "1")
    }
    guard result.valueHeadCount.isMultiple(of: result.keyHeadCount) else {
      throw keys.invalid(
        "ssm.time_step_rank", expected: "a multiple of ssm.group_count, \(result.keyHeadCount)",
        found: "\(result.valueHeadCount)")
    }
    let inner = try keys.count("ssm.inner_size", atMost: Limit.heads * Limit.headSize)
    guard inner == result.valueSize else {
      throw keys.invalid(
        "ssm.inner_size",
        expected: "ssm.time_step_rank * ssm.state_size, \(result.valueSize)", found: "\(inner)")
    }
    return result
  }

  /// Refuses keys that change the arithmetic in ways that the graph does not compute: they would
  /// otherwise give wrong output without a word.
  private static func refuseVariants(_ keys: ConfigKeys) throws {
    let scaling = try keys.metadata.optionalString(keys.full("rope.scaling.type")) ?? "none"
    guard scaling == "none" else {
      throw ModelGraphError(
        .unsupported,
        "\(keys.path): \(keys.full("rope.scaling.type")): expected none, found "
          + "\(scaling.quotedForMessage); moerun does not scale RoPE yet")
    }
    // ggml's number for a softmax over the router's logits.
    let softmax: UInt64 = 1
    let gating = try keys.metadata.optionalUnsigned(keys.full("expert_gating_func")) ?? softmax
    guard gating == softmax else {
      throw ModelGraphError(
        .unsupported,
        "\(keys.path): \(keys.full("expert_gating_func")): expected \(softmax) (softmax), found "
          + "\(gating); moerun cannot run it yet")
    }
    // What other models of the family scale or group; 0 and 1 are how files say that they do not.
    for name in [
      "expert_weights_scale", "expert_group_count", "final_logit_softcapping",
      "attn_logit_softcapping", "attention.scale", "residual_scale", "logit_scale",
    ] {
      guard let value = keys.metadata[keys.full(name)] else { continue }
      let number = value.integer(as: Int.self).map(Double.init) ?? value.floatingPoint
      guard number == 0 || number == 1 else {
        throw ModelGraphError(
          .unsupported,
          "\(keys.path): \(keys.full(name)): expected 0, 1 or no such key, found \(value); moerun "
            + "does not compute it yet")
      }
    }
  }
}
