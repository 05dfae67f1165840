/// Files that the tests bring along.
public enum Fixtures {
  /// Root of the repository, found from this file's place in it.
  public static let repository: String = {
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(3)
    return parts.joined(separator: "/")
  }()

  /// Path of `name` in the repository's fixtures.
  public static func path(_ name: String) -> String { repository + "/fixtures/" + name }

  /// The trained checkpoint that the tests run: Qwen3.5-MoE, 8 layers, 24 experts.
  public static var checkpoint: String { path("tiny-qwen35moe-seedmix.gguf") }
}
