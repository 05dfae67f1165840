extension ModelFamily {
  /// Qwen3-Next: blocks as Qwen3.5's, with decay and step of the delta net in one matrix.
  /// llama.cpp `src/models/qwen3next.cpp`, whose converter writes queries, keys and values
  /// (`attn_qkv`) and the output gate (`attn_gate`) apart.
  static let qwen3Next = ModelFamily(
    architecture: "qwen3next",
    keys: joined(
      [
        .blockCount, .contextLength, .embeddingLength, .vocabularySize, .feedForwardLength,
        .headCount, .keyValueHeadCount, .ropeBase, .epsilon, .expertUsedCount, .keyLength,
        .valueLength, .expertCount, .expertInner, .sharedInner,
      ], ShapeKey.deltaNet, [.attentionInterval, .rotatedLength]),
    rules: joined(
      ShapeRule.deltaNet, [.isEven("rope.dimension_count", upTo: "attention.key_length")]),
    tensors: joined(
      ends, gatedAttention, deltaNet, sharedExperts,
      [.matrix("ssm_ba.weight", in: .recurrent, columns: .hidden, rows: 2 * .stateValueHeads)]))
}
