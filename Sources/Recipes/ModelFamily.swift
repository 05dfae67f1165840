/// An architecture as data: its hyper-parameters, what must hold between them, and its tensors.
///
/// Names and shapes are those that llama.cpp's converter writes and its loader asks for
/// (`src/models`, `gguf-py/gguf/constants.py`); each family's file says where.
struct ModelFamily: Sendable {
  /// `general.architecture`.
  let architecture: String
  /// In the order of the metadata.
  let keys: [ShapeKey]
  /// Beside ``ShapeRule/common``.
  let rules: [ShapeRule]
  /// Those outside of blocks first, in order; those of a block are sorted by name.
  let tensors: [TensorTemplate]

  /// All architectures that can be synthesized.
  static let all: [ModelFamily] = [
    .deepSeek2, .glm4MoE, .gptOSS, .llama, .olmoe, .qwen35MoE, .qwen3MoE, .qwen3Next,
  ]

  /// Lists one after the other. (Long sums of literals take the type checker minutes.)
  static func joined<Element>(_ parts: [Element]...) -> [Element] { parts.flatMap { $0 } }

  /// The roles of its tensors, in the order of ``TensorRole``.
  var roles: [TensorRole] {
    let used = Set(tensors.map(\.role))
    return TensorRole.allCases.filter(used.contains)
  }

  /// Embedding, final norm and head, in the order of llama.cpp's quantizer.
  static let ends: [TensorTemplate] = [
    .matrix("output.weight", .output, in: .model, columns: .hidden, rows: .vocabulary),
    .norm("output_norm.weight", in: .model, .hidden),
    // One row an input: unit variance starts the residual stream at the size of what the layers add
    // to it, so that tokens differ all the way up.
    TensorTemplate(
      "token_embd.weight", .embedding, in: .model, [.hidden, .vocabulary], .deviation(1)),
  ]

  /// Query, key, value and output projections of grouped-query attention.
  static func attention(
    in place: TensorTemplate.Place = .everyBlock, headLength: Extent = .headLength,
    queriesPerHead: Extent = 1
  ) -> [TensorTemplate] {
    let query = Extent.heads * headLength
    return [
      .matrix(
        "attn_q.weight", in: place, columns: .hidden,
        rows: queriesPerHead.text == "1" ? query : queriesPerHead * query),
      .matrix("attn_k.weight", in: place, columns: .hidden, rows: .keyValueHeads * headLength),
      .matrix("attn_v.weight", in: place, columns: .hidden, rows: .keyValueHeads * headLength),
      .matrix("attn_output.weight", in: place, columns: query, rows: .hidden),
    ]
  }

  /// RMSNorms of every query and key head.
  static func headNorms(
    in place: TensorTemplate.Place = .everyBlock, _ length: Extent = .headLength
  ) -> [TensorTemplate] {
    [
      .norm("attn_q_norm.weight", in: place, length),
      .norm("attn_k_norm.weight", in: place, length),
    ]
  }

  /// Router and routed experts.
  static func experts(
    in place: TensorTemplate.Place = .everyBlock, inner: Extent = .expertInner
  ) -> [TensorTemplate] {
    [
      .matrix(
        "ffn_gate_exps.weight", .expertGate, in: place, columns: .hidden, rows: inner,
        times: .experts),
      .matrix(
        "ffn_up_exps.weight", .expertUp, in: place, columns: .hidden, rows: inner, times: .experts),
      .matrix(
        "ffn_down_exps.weight", .expertDown, in: place, columns: inner, rows: .hidden,
        times: .experts),
      .matrix("ffn_gate_inp.weight", .router, in: place, columns: .hidden, rows: .experts),
    ]
  }

  /// A gated feed-forward network that every token uses; `suffix` is `_shexp` for a shared expert.
  static func feedForward(
    in place: TensorTemplate.Place, suffix: String = "", inner: Extent
  ) -> [TensorTemplate] {
    [
      .matrix("ffn_gate\(suffix).weight", in: place, columns: .hidden, rows: inner),
      .matrix("ffn_up\(suffix).weight", in: place, columns: .hidden, rows: inner),
      .matrix("ffn_down\(suffix).weight", in: place, columns: inner, rows: .hidden),
    ]
  }
}
