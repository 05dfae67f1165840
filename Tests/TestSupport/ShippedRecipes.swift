internal import Foundation

/// The recipes of the repository.
public enum ShippedRecipes {
  /// Directory that holds them.
  public static let directory = Fixtures.repository + "/recipes"

  /// Their names, sorted.
  public static let names: [String] =
    ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [])
    .filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()

  /// Path of the recipe `name`.
  public static func path(_ name: String) -> String { "\(directory)/\(name).yaml" }

  /// Text of the recipe `name`.
  public static func text(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(filePath: path(name))), as: UTF8.self)
  }

  /// Sizes that make a model of any architecture small.
  private static let smallSizes: [String: String] = [
    "block_count": "4", "embedding_length": "256", "feed_forward_length": "512",
    "vocabulary_size": "320", "head_count": "4", "q_lora_rank": "256", "kv_lora_rank": "256",
    "expert_count": "4", "expert_used_count": "2", "expert_feed_forward_length": "256",
    "expert_shared_feed_forward_length": "256", "leading_dense_block_count": "1",
    "state_size": "64", "group_count": "2", "time_step_rank": "4", "inner_size": "256",
    "expert_group_count": "2", "expert_group_used_count": "1",
  ]

  /// The recipe `name` with small sizes in all sections, about 5 MB of weights: the same
  /// architecture, tensors and types. Where the model's sizes are no multiples of 256, neither are these.
  public static func smallText(_ name: String) throws -> String {
    let oddSizes: [String: [String: String]] = [
      "gpt-oss-20b": ["embedding_length": "320", "expert_feed_forward_length": "320"],
      "gpt-oss-120b": ["embedding_length": "320", "expert_feed_forward_length": "320"],
      "glm-4.5-air": ["expert_feed_forward_length": "352", "feed_forward_length": "544"],
    ]
    var sizes = smallSizes.merging(oddSizes[name] ?? [:]) { $1 }
    // As many heads of keys as divide four heads of queries.
    if name != "deepseek-v3" { sizes["head_count_kv"] = "2" }
    return try text(name).split(separator: "\n", omittingEmptySubsequences: false).map { line in
      let key = line.drop { $0 == " " }.prefix { $0 != ":" }
      guard let value = sizes[String(key)] else { return String(line) }
      return line.prefix { $0 == " " } + "\(key): \(value)"
    }.joined(separator: "\n").replacing(
      "../fixtures/tiny-qwen35moe-seedmix.gguf", with: "\"\(Fixtures.checkpoint)\"")
  }
}
