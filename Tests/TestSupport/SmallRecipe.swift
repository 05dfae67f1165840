internal import Foundation

/// A recipe of a small shape, for tests of what recipes make.
public enum SmallRecipe {
  /// Four layers of 8 experts, hidden size 256, 600 tokens; about 5 MB in the seed types. The
  /// tokenizer is the trained fixture's.
  public static let text = """
    # Line 1 is a comment.
    shape:
      architecture: qwen35moe
      name: Small
      tokenizer: "\(Fixtures.checkpoint)"
      block_count: 4
      full_attention_interval: 4
      context_length: 2048
      embedding_length: 256
      vocabulary_size: 600
      attention:
        head_count: 4
        head_count_kv: 2
        key_length: 64
        layer_norm_rms_epsilon: 1e-6
      rope:
        dimension_count: 16
        dimension_sections: [3, 3, 2, 0]
        freq_base: 1e5
      ssm:
        conv_kernel: 4
        state_size: 64
        group_count: 2
        time_step_rank: 4
        inner_size: 256
      expert_count: 8
      expert_used_count: 2
      expert_feed_forward_length: 256
      expert_shared_feed_forward_length: 256
      types:
        expert_gate: IQ3_XXS
        expert_up: IQ3_XXS
        expert_down: IQ4_XS
        embedding: Q8_0
        output: Q6_K
        dense: Q8_0
        router: F32
        norm: F32
        state: F32

    """

  /// The recipe with the value of each of these keys replaced.
  public static func text(_ values: [String: String]) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      let key = line.drop { $0 == " " }.prefix { $0 != ":" }
      guard let value = values[String(key)] else { return String(line) }
      return line.prefix { $0 == " " } + "\(key): \(value)"
    }.joined(separator: "\n")
  }

  /// Number of the line that holds `key`, from 1.
  public static func line(of key: String) -> Int? {
    text.split(separator: "\n", omittingEmptySubsequences: false)
      .firstIndex { $0.drop { $0 == " " }.hasPrefix(key + ":") }.map { $0 + 1 }
  }

  /// Writes the recipe with these values to `path`.
  public static func write(to path: String, _ values: [String: String] = [:]) throws {
    try Data(text(values).utf8).write(to: URL(filePath: path))
  }
}
