extension ModelFamily {
  /// OLMoE: norms over all query and key heads together. llama.cpp `src/models/olmoe.cpp`.
  static let olmoe = ModelFamily(
    architecture: "olmoe",
    keys: [
      .blockCount, .contextLength, .embeddingLength, .vocabularySize, .feedForwardLength,
      .headCount, .keyValueHeadCount, .ropeBase, .epsilon, .expertCount, .expertUsedCount,
    ],
    rules: [.divides("attention.head_count", "embedding_length")],
    tensors: joined(
      ends, attention(headLength: .hidden / .heads), experts(inner: .inner),
      [
        .norm("attn_q_norm.weight", .hidden),
        .norm("attn_k_norm.weight", .keyValueHeads * (.hidden / .heads)),
        .norm("attn_norm.weight", .hidden), .norm("ffn_norm.weight", .hidden),
      ]))
}
