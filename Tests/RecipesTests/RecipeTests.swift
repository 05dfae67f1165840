import Foundation
import GGUF
import Recipes
import Tensors
import TestSupport
import Testing

/// A recipe that must be refused: a key with a wrong value, and what the message must say.
struct RefusedRecipe: Sendable, CustomTestStringConvertible {
  let key: String
  let value: String
  let words: String
  var testDescription: String { "\(key): \(value)" }

  init(_ key: String, _ value: String, _ words: String) {
    (self.key, self.value, self.words) = (key, value, words)
  }
}

@Suite("Recipe")
struct RecipeTests {
  private func error(_ text: String) throws -> RecipeError {
    try #require(throws: RecipeError.self) { try Recipe(text: text, path: "r.yaml") }
  }

  @Test("the small recipe is read as it is written")
  func small() throws {
    let shape = try Recipe(text: SmallRecipe.text, path: "r.yaml").requiredShape()
    #expect(shape.blockCount == 4 && shape.vocabularySize == 600 && shape.expertUsedCount == 2)
    #expect(shape.count("embedding_length") == 256 && shape.count("ssm.inner_size") == 256)
    var metadata = GGUFMetadata()
    for entry in shape.metadata { metadata.set(entry.value, for: entry.key) }
    #expect(try metadata.integers("qwen35moe.rope.dimension_sections") == [3, 3, 2, 0])
    #expect(try metadata.float("qwen35moe.rope.freq_base") == 1e5)
    let convolution = shape.tensors.first { $0.name == "blk.0.ssm_conv1d.weight" }
    #expect(convolution?.dimensions == [4, 512])
    #expect(shape.types[.expertDown] == .iq4_XS && shape.types[.router] == .f32)
  }

  static let refused = [
    RefusedRecipe(
      "architecture", "bert",
      "expected deepseek2, glm4moe, gpt-oss, llama, olmoe, qwen35moe, qwen3moe, qwen3next"),
    RefusedRecipe("block_count", "0", "from 1 to 1024, found '0'"),
    RefusedRecipe("block_count", "1025", "from 1 to 1024"),
    RefusedRecipe("block_count", "4.5", "found '4.5'"),
    RefusedRecipe("block_count", "", "found nothing"),
    RefusedRecipe("block_count", "[4]", "found a list of 1"),
    RefusedRecipe("block_count", "99999999999999999999999", "from 1 to 1024"),
    RefusedRecipe("embedding_length", "-256", "found '-256'"),
    RefusedRecipe("vocabulary_size", "16777217", "from 1 to 16777216"),
    RefusedRecipe("head_count_kv", "3", "expected a divisor of head_count, 4"),
    RefusedRecipe("layer_norm_rms_epsilon", "nan", "above 0 and up to 0.1"),
    RefusedRecipe("layer_norm_rms_epsilon", "0", "above 0"),
    RefusedRecipe("freq_base", "inf", "above 0 and up to"),
    RefusedRecipe(
      "dimension_count", "15", "expected an even number up to attention.key_length, 64"),
    RefusedRecipe("dimension_count", "128", "expected an even number up to attention.key_length"),
    RefusedRecipe("dimension_sections", "[3, 3, 3, 0]", "expected pairs that add up to 8"),
    RefusedRecipe("dimension_sections", "[3, 3, 2]", "expected a list of 4"),
    RefusedRecipe("time_step_rank", "3", "expected a multiple of group_count, 2"),
    RefusedRecipe("inner_size", "255", "expected time_step_rank * state_size, 256"),
    RefusedRecipe("expert_used_count", "9", "expected at most expert_count, 8"),
    RefusedRecipe("expert_gate", "Q9_9", "found 'Q9_9'"),
    RefusedRecipe("expert_gate", "I32", "found 'I32'"),
    RefusedRecipe("norm", "Q8_0", "expected F32; found 'Q8_0'"),
    RefusedRecipe("name", "\"a\\nb\"", "printable"),
  ]

  @Test("a wrong value is refused with file, line and key", arguments: refused)
  func wrongValue(_ item: RefusedRecipe) throws {
    let error = try error(SmallRecipe.text([item.key: item.value]))
    let line = try #require(SmallRecipe.line(of: item.key))
    #expect(error.description.hasPrefix("r.yaml:\(line): "), "\(error)")
    #expect(error.message.contains(item.key) && error.message.contains(item.words), "\(error)")
  }

  @Test("rows that are no whole number of blocks are refused")
  func partialBlocks() throws {
    let error = try error(SmallRecipe.text(["expert_feed_forward_length": "320"]))
    #expect(error.message.contains("expert_down: a block of IQ4_XS holds 256"), "\(error)")
    #expect(error.message.contains("found 320"))
  }

  @Test("unknown, missing and doubled keys are refused")
  func keys() throws {
    let unknown = try error(
      SmallRecipe.text.replacing("  block_count: 4", with: "  block_count: 4\n  blocks: 4"))
    #expect(unknown.description.hasPrefix("r.yaml:7: shape: unknown key 'blocks'"), "\(unknown)")
    let top = try error(SmallRecipe.text + "requantize: 1\n")
    #expect(top.message.hasPrefix("unknown key 'requantize'"), "\(top)")
    let missing = try error(SmallRecipe.text.replacing("    key_length: 64\n", with: ""))
    #expect(missing.message == "shape.attention: expected a key 'key_length', found none")
    #expect(missing.line != nil)
    let doubled = try error(
      SmallRecipe.text.replacing("  block_count: 4", with: "  block_count: 4\n  block_count: 5"))
    #expect(doubled.message.contains("block_count"), "\(doubled)")
  }

  static let notRecipes: [(String, String)] = [
    ("", "is empty"), ("# only a comment\n", "is empty"), ("shape\n", "expected a mapping"),
    ("shape: 1\n", "expected a mapping"), ("- shape\n", "expected a mapping"),
    ("shape: [1, 2\n", "is not YAML"), ("shape: *nobody\n", "is not YAML"),
    ("\tshape: 1\n", "is not YAML"), ("? [a]\n: 1\n", "unknown key"),
    (String(repeating: "[", count: 60000), "is not YAML"),
    (String(repeating: "- ", count: 30000), "is not YAML"),
  ]

  @Test("what is no recipe at all is an error, however deep it nests", arguments: notRecipes)
  func notARecipe(_ text: String, _ words: String) throws {
    #expect(try error(text).description.contains(words))
  }

  @Test("a file that is too long or not UTF-8 is refused")
  func files() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("r.yaml")
    try Data(repeating: 0x20, count: 1 << 20).write(to: URL(filePath: path))
    #expect(throws: (any Error).self) { try Recipe.read(path) }
    try Data([0x73, 0xff, 0xfe]).write(to: URL(filePath: path))
    let error = try #require(throws: RecipeError.self) { try Recipe.read(path) }
    #expect(error.message.contains("is not UTF-8"))
  }

  @Test("the tokenizer is looked for beside the recipe")
  func tokenizerPath() throws {
    func path(_ recipe: String, _ tokenizer: String) throws -> String? {
      try Recipe(text: SmallRecipe.text(["tokenizer": tokenizer]), path: recipe).tokenizerPath
    }
    #expect(try path("recipes/a.yaml", "../t.gguf") == "recipes/../t.gguf")
    #expect(try path("a.yaml", "t.gguf") == "t.gguf")
    #expect(try path("recipes/a.yaml", "/x/t.gguf") == "/x/t.gguf")
  }
}
