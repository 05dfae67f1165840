extension ModelFamily {
  /// Mixtral, which llama.cpp runs as `llama` with experts. llama.cpp `src/models/llama.cpp`.
  static let llama = ModelFamily(
    architecture: "llama",
    keys: [
      .blockCount, .contextLength, .embeddingLength, .vocabularySize.written("vocab_size"),
      .feedForwardLength, .headCount, .keyValueHeadCount, .ropeBase, .epsilon, .expertCount,
      .expertUsedCount,
      .derived("rope.dimension_count") { shape in
        .count((Extent.hidden / .heads).value(shape))
      },
    ],
    rules: [.divides("attention.head_count", "embedding_length")],
    tensors: joined(
      ends, attention(headLength: .hidden / .heads), experts(inner: .inner),
      [.norm("attn_norm.weight", .hidden), .norm("ffn_norm.weight", .hidden)]))
}
