/// Section `shape` of a recipe: hyper-parameters and tensor types of a `qwen35moe` model.
///
/// Keys are those of the GGUF's metadata without the architecture before them.
public struct RecipeShape: Sendable, Hashable {
  /// Attention with grouped queries, an output gate and partial rotation.
  public struct Attention: Sendable, Hashable {
    /// Query heads, a multiple of ``keyValueHeadCount``.
    public let headCount: Int
    /// Key and value heads.
    public let keyValueHeadCount: Int
    /// Elements of a head.
    public let keyLength: Int
    /// Epsilon of every RMSNorm.
    public let rmsEpsilon: Double
    /// Leading elements of a head that RoPE rotates, even.
    public let rotatedLength: Int
    /// RoPE's theta.
    public let ropeBase: Double
    /// Pairs that follow each of the four position components.
    public let ropeSections: [Int]
  }

  /// Gated delta net.
  public struct DeltaNet: Sendable, Hashable {
    /// Width of the causal convolution.
    public let convolutionWidth: Int
    /// Elements of a head, of key and value alike.
    public let headLength: Int
    /// Heads of queries and keys.
    public let keyHeadCount: Int
    /// Heads of values, a multiple of ``keyHeadCount``.
    public let valueHeadCount: Int

    /// Elements of all value heads.
    public var valueLength: Int { valueHeadCount * headLength }
    /// Channels of the convolution: queries, keys, values.
    public var channels: Int { 2 * keyHeadCount * headLength + valueLength }
  }

  /// Routed and shared experts.
  public struct Experts: Sendable, Hashable {
    /// Routed experts of a layer.
    public let count: Int
    /// Routed experts that a token uses, the router's top-k.
    public let usedCount: Int
    /// Intermediate size of a routed expert.
    public let intermediateLength: Int
    /// Intermediate size of the shared expert.
    public let sharedIntermediateLength: Int
  }

  /// `general.architecture`, always `qwen35moe`.
  public let architecture: String
  /// The model's name.
  public let name: String
  /// GGUF or pack with a tokenizer, relative to the recipe.
  public let tokenizer: String
  /// Decoder layers.
  public let blockCount: Int
  /// Every so many layers there is one of full attention; the others are gated delta nets.
  public let fullAttentionInterval: Int
  /// Positions the model was trained for.
  public let contextLength: Int
  /// Hidden size.
  public let embeddingLength: Int
  /// Tokens of the embedding and of the head.
  public let vocabularySize: Int
  /// The layers of full attention.
  public let attention: Attention
  /// The layers of linear attention.
  public let deltaNet: DeltaNet
  /// The feed-forward part of every layer.
  public let experts: Experts
  /// The types of the tensors.
  public let types: RecipeTypes

  /// The only architecture that a shape can describe.
  static let supportedArchitecture = "qwen35moe"

  /// Ranges far above any model, and low enough that no product of a few wraps.
  enum Limit {
    static let layers = 1...1024
    static let size = 1...(1 << 17)
    static let heads = 1...4096
    static let headSize = 1...4096
    static let experts = 1...65536
    static let vocabulary = 1...(1 << 24)
    static let context = 1...(1 << 24)
  }

  init(_ node: RecipeNode) throws(RecipeError) {
    let fields = try node.mapping([
      "architecture", "name", "tokenizer", "block_count", "context_length", "embedding_length",
      "vocabulary_size", "full_attention_interval", "attention", "rope", "ssm", "expert_count",
      "expert_used_count", "expert_feed_forward_length", "expert_shared_feed_forward_length",
      "types",
    ])
    architecture = try fields["architecture"].text()
    guard architecture == Self.supportedArchitecture else {
      throw fields["architecture"].error(
        "expected \(Self.supportedArchitecture), the only architecture that can be synthesized; "
          + "found '\(architecture.prefix(64))'")
    }
    name = try fields["name"].text()
    tokenizer = try fields["tokenizer"].text()
    blockCount = try fields["block_count"].integer(Limit.layers)
    fullAttentionInterval = try fields["full_attention_interval"].integer(Limit.layers)
    contextLength = try fields["context_length"].integer(Limit.context)
    embeddingLength = try fields["embedding_length"].integer(Limit.size)
    vocabularySize = try fields["vocabulary_size"].integer(Limit.vocabulary)
    attention = try Attention(fields["attention"], rope: fields["rope"])
    deltaNet = try DeltaNet(fields["ssm"])
    experts = Experts(
      count: try fields["expert_count"].integer(Limit.experts),
      usedCount: try fields["expert_used_count"].integer(1...1024),
      intermediateLength: try fields["expert_feed_forward_length"].integer(Limit.size),
      sharedIntermediateLength: try fields["expert_shared_feed_forward_length"].integer(Limit.size))
    guard experts.usedCount <= experts.count else {
      throw fields["expert_used_count"].error(
        "expected at most expert_count, \(experts.count), found \(experts.usedCount)")
    }
    types = try RecipeTypes(fields["types"])
    try types.checkColumns(of: self, at: fields["types"])
  }
}

extension RecipeShape.Attention {
  init(_ node: RecipeNode, rope: RecipeNode) throws(RecipeError) {
    let fields = try node.mapping([
      "head_count", "head_count_kv", "key_length", "layer_norm_rms_epsilon",
    ])
    headCount = try fields["head_count"].integer(RecipeShape.Limit.heads)
    keyValueHeadCount = try fields["head_count_kv"].integer(RecipeShape.Limit.heads)
    guard headCount.isMultiple(of: keyValueHeadCount) else {
      throw fields["head_count_kv"].error(
        "expected a divisor of head_count, \(headCount), found \(keyValueHeadCount)")
    }
    keyLength = try fields["key_length"].integer(RecipeShape.Limit.headSize)
    rmsEpsilon = try fields["layer_norm_rms_epsilon"].positive(upTo: 0.1)
    let rotation = try rope.mapping(["dimension_count", "dimension_sections", "freq_base"])
    rotatedLength = try rotation["dimension_count"].integer(RecipeShape.Limit.headSize)
    guard rotatedLength.isMultiple(of: 2), rotatedLength <= keyLength else {
      throw rotation["dimension_count"].error(
        "expected an even number up to attention.key_length, \(keyLength), found \(rotatedLength)")
    }
    ropeBase = try rotation["freq_base"].positive(upTo: 1e12)
    ropeSections = try rotation["dimension_sections"].integers(count: 4, 0...4096)
    guard ropeSections.reduce(0, +) * 2 == rotatedLength else {
      throw rotation["dimension_sections"].error(
        "expected pairs that add up to \(rotatedLength / 2), half of dimension_count, found "
          + "\(ropeSections.reduce(0, +))")
    }
  }
}

extension RecipeShape.DeltaNet {
  init(_ node: RecipeNode) throws(RecipeError) {
    let fields = try node.mapping([
      "conv_kernel", "state_size", "group_count", "time_step_rank", "inner_size",
    ])
    convolutionWidth = try fields["conv_kernel"].integer(2...64)
    headLength = try fields["state_size"].integer(RecipeShape.Limit.headSize)
    keyHeadCount = try fields["group_count"].integer(RecipeShape.Limit.heads)
    valueHeadCount = try fields["time_step_rank"].integer(RecipeShape.Limit.heads)
    guard valueHeadCount.isMultiple(of: keyHeadCount) else {
      throw fields["time_step_rank"].error(
        "expected a multiple of group_count, \(keyHeadCount), found \(valueHeadCount)")
    }
    let inner = try fields["inner_size"].integer(1...(1 << 24))
    guard inner == valueLength else {
      throw fields["inner_size"].error(
        "expected time_step_rank * state_size, \(valueLength), found \(inner)")
    }
  }
}
