extension Extent {
  static let stateLength = Extent("ssm.state_size")
  static let stateKeyHeads = Extent("ssm.group_count")
  static let stateValueHeads = Extent("ssm.time_step_rank")
  /// Elements of all value heads of a gated delta net.
  static let stateInner = Extent("ssm.inner_size")
  /// Channels of its convolution: queries, keys, values.
  static let stateChannels: Extent = 2 * stateKeyHeads * stateLength + stateInner
}

extension ShapeKey {
  /// Hyper-parameters of a gated delta net, by the names that state-space models have.
  static let deltaNet: [ShapeKey] = [
    count("ssm.conv_kernel", 2...64), count("ssm.state_size", ShapeLimit.headSize),
    count("ssm.group_count", ShapeLimit.heads), count("ssm.time_step_rank", ShapeLimit.heads),
    count("ssm.inner_size", 1...(1 << 24)),
  ]
  static let attentionInterval = count("full_attention_interval", ShapeLimit.layers)
  static let recurrentLayers = derived("attention.recurrent_layers") { shape in
    .flags((0..<shape.blockCount).map { !shape.isFullAttention($0) })
  }
}

extension ShapeRule {
  static let deltaNet: [ShapeRule] = [
    .isMultiple("ssm.time_step_rank", of: "ssm.group_count"),
    .equals("ssm.inner_size", .stateValueHeads * .stateLength),
  ]
}

extension ModelFamily {
  /// Qwen3.5 mixtures of experts: every fourth block attends, the others are gated delta nets.
  /// llama.cpp `src/models/qwen35moe.cpp`.
  static let qwen35MoE = ModelFamily(
    architecture: "qwen35moe",
    keys: joined(
      [
        .blockCount, .contextLength, .embeddingLength, .vocabularySize, .headCount,
        .keyValueHeadCount, .counts("rope.dimension_sections", 4, 0...4096), .ropeBase, .epsilon,
        .expertCount, .expertUsedCount, .keyLength, .valueLength, .expertInner, .sharedInner,
      ], ShapeKey.deltaNet, [.recurrentLayers, .attentionInterval, .rotatedLength]),
    rules: joined(
      ShapeRule.deltaNet,
      [
        .isEven("rope.dimension_count", upTo: "attention.key_length"),
        .areHalves("rope.dimension_sections", of: "rope.dimension_count"),
      ]),
    tensors: joined(
      ends, gatedAttention, deltaNet, sharedExperts,
      [
        .matrix("ssm_alpha.weight", in: .recurrent, columns: .hidden, rows: .stateValueHeads),
        .matrix("ssm_beta.weight", in: .recurrent, columns: .hidden, rows: .stateValueHeads),
      ]))

  /// Attention with an output gate, which shares the matrix of the queries head by head.
  static let gatedAttention: [TensorTemplate] = joined(
    attention(in: .attention, queriesPerHead: 2), headNorms(in: .attention),
    [.norm("attn_norm.weight", .hidden), .norm("post_attention_norm.weight", .hidden)])

  /// A gated delta net but for its decay and step projections.
  static let deltaNet: [TensorTemplate] = [
    .matrix("attn_qkv.weight", in: .recurrent, columns: .hidden, rows: .stateChannels),
    .matrix("attn_gate.weight", in: .recurrent, columns: .hidden, rows: .stateInner),
    .matrix("ssm_out.weight", in: .recurrent, columns: .stateInner, rows: .hidden),
    .norm("ssm_norm.weight", in: .recurrent, .stateLength),
    .matrix(
      "ssm_conv1d.weight", .state, in: .recurrent, columns: Extent("ssm.conv_kernel"),
      rows: .stateChannels),
    // The state decays by exp(softplus(. + dt) a) a token: half-lives from one token to hundreds.
    TensorTemplate("ssm_a", .state, in: .recurrent, [.stateValueHeads], .uniform(-2, -0.05)),
    TensorTemplate("ssm_dt.bias", .state, in: .recurrent, [.stateValueHeads], .uniform(-4, 0)),
  ]

  /// Routed experts and one shared expert with a gate of its own.
  static let sharedExperts: [TensorTemplate] = joined(
    experts(), feedForward(in: .everyBlock, suffix: "_shexp", inner: .sharedInner),
    [TensorTemplate("ffn_gate_inp_shexp.weight", .norm, in: .everyBlock, [.hidden])])
}
