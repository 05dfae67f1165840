extension ModelFamily {
  /// gpt-oss: biases everywhere, attention sinks, a sliding window in every other block.
  /// llama.cpp `src/models/openai-moe.cpp`.
  static let gptOSS = ModelFamily(
    architecture: "gpt-oss",
    keys: [
      .blockCount, .contextLength, .embeddingLength, .vocabularySize, .feedForwardLength,
      .headCount, .keyValueHeadCount, .ropeBase, .epsilon, .expertCount, .expertUsedCount,
      .keyLength, .valueLength, .count("attention.sliding_window", ShapeLimit.context),
      .expertInner, .text("rope.scaling.type", among: ["yarn"]),
      .positive("rope.scaling.factor", upTo: 1e6),
      .count("rope.scaling.original_context_length", ShapeLimit.context),
    ],
    rules: [],
    tensors: joined(
      ends, attention(), experts(),
      [
        .bias("attn_q.bias", in: .everyBlock, .heads * .headLength),
        .bias("attn_k.bias", in: .everyBlock, .keyValueHeads * .headLength),
        .bias("attn_v.bias", in: .everyBlock, .keyValueHeads * .headLength),
        .bias("attn_output.bias", in: .everyBlock, .hidden),
        TensorTemplate("attn_sinks.weight", .norm, in: .everyBlock, [.heads], .deviation(1)),
        .bias("ffn_gate_inp.bias", in: .everyBlock, .experts),
        .bias("ffn_gate_exps.bias", in: .everyBlock, .expertInner, .experts),
        .bias("ffn_up_exps.bias", in: .everyBlock, .expertInner, .experts),
        .bias("ffn_down_exps.bias", in: .everyBlock, .hidden, .experts),
        .norm("attn_norm.weight", .hidden), .norm("post_attention_norm.weight", .hidden),
      ]))
}
