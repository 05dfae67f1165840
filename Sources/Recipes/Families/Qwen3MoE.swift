extension ModelFamily {
  /// Qwen3 mixtures of experts. llama.cpp `src/models/qwen3moe.cpp`.
  static let qwen3MoE = ModelFamily(
    architecture: "qwen3moe",
    keys: [
      .blockCount, .contextLength, .embeddingLength, .vocabularySize, .feedForwardLength,
      .headCount, .keyValueHeadCount, .ropeBase, .epsilon, .expertUsedCount, .keyLength,
      .valueLength, .expertCount, .expertInner,
    ],
    rules: [],
    tensors: joined(
      ends, attention(), headNorms(), experts(),
      [.norm("attn_norm.weight", .hidden), .norm("ffn_norm.weight", .hidden)]))
}
