extension Extent {
  fileprivate static let queryRank = Extent("attention.q_lora_rank")
  fileprivate static let keyValueRank = Extent("attention.kv_lora_rank")
  fileprivate static let rotated = Extent("rope.dimension_count")
  fileprivate static let wholeKey = Extent("attention.key_length_mla")
  fileprivate static let wholeValue = Extent("attention.value_length_mla")
}

extension ModelFamily {
  /// DeepSeek-V3: latent attention (MLA), dense blocks first, a shared expert, biased selection of
  /// experts. llama.cpp `src/models/deepseek2.cpp`; keys and values are restored by `attn_k_b` and
  /// `attn_v_b`, a matrix a head, as converters write them since April 2025.
  static let deepSeek2 = ModelFamily(
    architecture: "deepseek2",
    keys: [
      .blockCount, .contextLength, .embeddingLength, .feedForwardLength, .headCount,
      // Latent attention is that of one head of keys and values.
      .keyValueHeadCount, .ropeBase, .epsilon, .expertUsedCount,
      .count("leading_dense_block_count", 0...1023), .vocabularySize.written("vocab_size"),
      .count("attention.q_lora_rank", ShapeLimit.size),
      .count("attention.kv_lora_rank", ShapeLimit.size),
      .derived("attention.key_length") { shape in
        .count((Extent.keyValueRank + .rotated).value(shape))
      },
      .derived("attention.value_length", from: "attention.kv_lora_rank"),
      .count("attention.key_length_mla", ShapeLimit.headSize),
      .count("attention.value_length_mla", ShapeLimit.headSize), .expertInner, .expertCount,
      .count("expert_shared_count", 1...64), .positive("expert_weights_scale", upTo: 1e3),
      .flag("expert_weights_norm"), .count("expert_gating_func", 1...3),
      .count("expert_group_count", ShapeLimit.experts).optional,
      .count("expert_group_used_count", ShapeLimit.experts).optional, .rotatedLength,
      .text("rope.scaling.type", among: ["yarn"]), .positive("rope.scaling.factor", upTo: 1e6),
      .count("rope.scaling.original_context_length", ShapeLimit.context),
      .positive("rope.scaling.yarn_log_multiplier", upTo: 1e3),
    ],
    rules: [
      .isEven("rope.dimension_count", upTo: "attention.key_length_mla"),
      .isBelow("rope.dimension_count", "attention.key_length_mla"),
    ],
    tensors: joined(
      ends, biasedExperts, feedForward(in: .leadingDense, inner: .inner),
      [
        .matrix("attn_q_a.weight", in: .everyBlock, columns: .hidden, rows: .queryRank),
        .norm("attn_q_a_norm.weight", .queryRank),
        .matrix(
          "attn_q_b.weight", in: .everyBlock, columns: .queryRank, rows: .heads * .wholeKey),
        .matrix(
          "attn_kv_a_mqa.weight", in: .everyBlock, columns: .hidden,
          rows: .keyValueRank + .rotated),
        .norm("attn_kv_a_norm.weight", .keyValueRank),
        .matrix(
          "attn_k_b.weight", in: .everyBlock, columns: .wholeKey - .rotated, rows: .keyValueRank,
          times: .heads),
        .matrix(
          "attn_v_b.weight", in: .everyBlock, columns: .keyValueRank, rows: .wholeValue,
          times: .heads),
        .matrix(
          "attn_output.weight", in: .everyBlock, columns: .heads * .wholeValue, rows: .hidden),
        .norm("attn_norm.weight", .hidden), .norm("ffn_norm.weight", .hidden),
      ]))
}
