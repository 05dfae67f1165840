extension ModelFamily {
  /// GLM-4.5-Air: dense blocks first, a shared expert, biased selection of experts, and a last block
  /// that predicts the token after the next. llama.cpp `src/models/glm4-moe.cpp`; the norms of query
  /// and key heads that the larger GLM-4.5 has are not in it.
  static let glm4MoE = ModelFamily(
    architecture: "glm4moe",
    keys: [
      .blockCount, .contextLength, .embeddingLength, .vocabularySize, .feedForwardLength,
      .headCount, .keyValueHeadCount, .ropeBase, .epsilon, .expertUsedCount, .keyLength,
      .valueLength, .rotatedLength, .expertCount, .expertInner,
      .count("expert_shared_count", 1...64),
      .count("leading_dense_block_count", 0...1023), .count("expert_gating_func", 1...3),
      .positive("expert_weights_scale", upTo: 1e3), .flag("expert_weights_norm"),
      .count("nextn_predict_layers", 0...1023).optional,
    ],
    rules: [.isEven("rope.dimension_count", upTo: "attention.key_length")],
    tensors: joined(
      ends, attention(), biasedExperts, feedForward(in: .leadingDense, inner: .inner),
      [
        .bias("attn_q.bias", in: .everyBlock, .heads * .headLength),
        .bias("attn_k.bias", in: .everyBlock, .keyValueHeads * .headLength),
        .bias("attn_v.bias", in: .everyBlock, .keyValueHeads * .headLength),
        .norm("attn_norm.weight", .hidden), .norm("post_attention_norm.weight", .hidden),
        .matrix("nextn.eh_proj.weight", in: .predicting, columns: 2 * .hidden, rows: .hidden),
        TensorTemplate(
          "nextn.embed_tokens.weight", .embedding, in: .predicting, [.hidden, .vocabulary],
          .deviation(1)),
        .norm("nextn.enorm.weight", in: .predicting, .hidden),
        .norm("nextn.hnorm.weight", in: .predicting, .hidden),
        .matrix(
          "nextn.shared_head_head.weight", .output, in: .predicting, columns: .hidden,
          rows: .vocabulary),
        .norm("nextn.shared_head_norm.weight", in: .predicting, .hidden),
      ]))

  /// Routed experts chosen with a bias, and shared experts joined to one network.
  static let biasedExperts: [TensorTemplate] = joined(
    experts(in: .experts),
    feedForward(
      in: .experts, suffix: "_shexp", inner: .expertInner * Extent("expert_shared_count")),
    [TensorTemplate("exp_probs_b.bias", .norm, in: .experts, [.experts], .deviation(0.05))])
}
