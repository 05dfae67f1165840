import Foundation
import GGUF
import Recipes
import Tensors
import TestSupport
import Testing

@Suite("Sections of a recipe")
struct RecipeSectionTests {
  private static let text = """
    match:
      architecture: qwen35moe
      block_count: [4, 5]
      expert_count: 8
    layout:
      kind: in_place
    types:
      ffn_down_exps: iq4_xs
      "*_exps": q4_k
      blk.0.attn_q.weight: q8_0
    defaults:
      io_threads: 16
      io_split: 2
      cache_policy: crf
      sampling:
        temperature: 0.6
        top_k: 20
    reference:
      figures:
        - figure: parameters
          value: few
          source: none
      hit_rates:
        source: none
        points: [[0.1, 0.5], [0.5, 0.9]]

    """

  private func recipe(_ text: String = text) throws -> Recipe {
    try Recipe(text: text, path: "r.yaml")
  }

  @Test("every section is read")
  func read() throws {
    let recipe = try recipe()
    #expect(recipe.match?.sizes.map(\.key) == ["block_count", "expert_count"])
    #expect(recipe.layout.isInPlace)
    #expect(
      recipe.typeRules == [
        TypeRule(pattern: "ffn_down_exps", type: .iq4_XS),
        TypeRule(pattern: "*_exps", type: .q4_K),
        TypeRule(pattern: "blk.0.attn_q.weight", type: .q8_0),
      ])
    #expect(recipe.defaults.flags == "--io-threads 16 --io-split 2 --cache-policy crf")
    #expect(recipe.defaults.sampling?.flags == "--temperature 0.6 --top-k 20")
    #expect(recipe.reference.figures.first?.figure == "parameters")
    #expect(recipe.reference.hitRates?.points.count == 2)
    #expect(recipe.shape == nil)
    #expect(throws: RecipeError.self) { try recipe.requiredShape() }
  }

  @Test("a checkpoint matches by architecture and all sizes")
  func matches() throws {
    let match = try #require(try recipe().match)
    func metadata(_ architecture: String, _ values: [String: UInt32]) -> GGUFMetadata {
      var result = GGUFMetadata()
      result.set(.string(GGUFString(architecture)), for: "general.architecture")
      for (key, value) in values { result.set(.uint32(value), for: "\(architecture).\(key)") }
      return result
    }
    #expect(match.holds(metadata("qwen35moe", ["block_count": 5, "expert_count": 8])))
    #expect(!match.holds(metadata("qwen35moe", ["block_count": 6, "expert_count": 8])))
    #expect(!match.holds(metadata("qwen35moe", ["block_count": 4])))
    #expect(!match.holds(metadata("qwen3moe", ["block_count": 4, "expert_count": 8])))
    #expect(!match.holds(GGUFMetadata()))
    var odd = metadata("qwen35moe", ["block_count": 4])
    odd.set(.string("8"), for: "qwen35moe.expert_count")
    #expect(!match.holds(odd))
    odd.set(.uint64(.max), for: "qwen35moe.expert_count")
    #expect(!match.holds(odd))
  }

  @Test("the first rule that matches decides; a name without a dot is a part")
  func ruleOrder() throws {
    func type(_ name: String) throws -> TensorType? {
      try recipe().typeRules.first { $0.matches(name) }?.type
    }
    #expect(try type("blk.12.ffn_down_exps.weight") == .iq4_XS)
    #expect(try type("blk.12.ffn_up_exps.weight") == .q4_K)
    #expect(try type("blk.0.attn_q.weight") == .q8_0)
    #expect(try type("blk.1.attn_q.weight") == nil)
    #expect(try type("blk.12.ffn_down_exps.bias") == nil)
    #expect(try type("output.weight") == nil)
    #expect(TypeRule("ffn_*_exps=iq4_xs")?.text == "ffn_*_exps=IQ4_XS")
    for text in ["", "a", "=q8_0", "a=", "a=q9", "a=b=q8_0"] { #expect(TypeRule(text) == nil) }
    let star = TypeRule(pattern: "*a*b*", type: .q8_0)
    #expect(star.matches("xxaxxbxx") && star.matches("ab") && !star.matches("ba"))
    let many = TypeRule(pattern: String(repeating: "*a", count: 60), type: .q8_0)
    #expect(!many.matches(String(repeating: "a", count: 59)))
    #expect(many.matches(String(repeating: "a", count: 4000)))
  }

  /// What is replaced by what, the line of the message, and words of it.
  static let refused: [(String, String, Int, String)] = [
    ("architecture: qwen35moe", "architecture: []", 2, "expected a text"),
    ("block_count: [4, 5]", "block_count: []", 3, "expected a list of 1 to 16"),
    ("block_count: [4, 5]", "block_count: [4, x]", 3, "match.block_count[1]: expected a whole"),
    ("block_count: [4, 5]", "blocks: 4", 3, "match: unknown key 'blocks'"),
    ("kind: in_place", "kind: striped", 6, "expected packed, in_place; found 'striped'"),
    ("iq4_xs", "iq9_xs", 8, "types.ffn_down_exps: expected Q8_0, Q6_K"),
    ("iq4_xs", "F32", 8, "found 'F32'"),
    ("ffn_down_exps", "ffn down", 8, "expected the name of a tensor as key"),
    ("io_threads: 16", "io_threads: 65", 12, "from 1 to 64, found '65'"),
    ("io_split: 2", "io_split: 3", 13, "expected 1, 2, 4, 8; found '3'"),
    ("cache_policy: crf", "cache_policy: best", 14, "expected auto, crf, lru; found 'best'"),
    ("temperature: 0.6", "temperature: -1", 16, "from 0.0 to 10.0, found '-1'"),
    ("temperature: 0.6", "temperature: nan", 16, "found 'nan'"),
    ("top_k: 20", "top_k: 20.5", 17, "defaults.sampling.top_k"),
    ("value: few", "values: few", 21, "unknown key 'values'"),
    ("points: [[0.1, 0.5], [0.5, 0.9]]", "points: [[0.1]]", 25, "expected [share of experts"),
    ("[0.5, 0.9]]", "[0.1, 0.9]]", 25, "expected more than the point before"),
    ("[0.5, 0.9]]", "[0.5, 1.9]]", 25, "from 0.0 to 1.0"),
    ("io_split: 2", "io_threads: 2", 12, "keys that stand twice: io_threads"),
  ]

  @Test("a wrong value is refused with file, line and key", arguments: refused.indices)
  func wrong(_ index: Int) throws {
    let (old, new, line, words) = Self.refused[index]
    #expect(Self.text.contains(old))
    let error = try #require(throws: RecipeError.self) {
      try recipe(Self.text.replacing(old, with: new))
    }
    #expect(error.description.hasPrefix("r.yaml:\(line): "), "\(error)")
    #expect(error.message.contains(words), "\(error)")
  }

  @Test("sections have to agree with the shape")
  func agreement() throws {
    let shape = SmallRecipe.text
    let own = "match:\n  architecture: qwen35moe\n  block_count: 4\n"
    #expect(try recipe(own + shape).match != nil)
    let blocks = try #require(throws: RecipeError.self) {
      try recipe(own.replacing("4", with: "5") + shape)
    }
    #expect(blocks.description.contains("r.yaml:3: match.block_count: expected 4 as in shape"))
    let architecture = try #require(throws: RecipeError.self) {
      try recipe(own.replacing("qwen35moe", with: "llama") + shape)
    }
    #expect(architecture.message.contains("expected qwen35moe as in shape.architecture"))
    let empty = try #require(throws: RecipeError.self) { try recipe("layout: {kind: packed}\n") }
    #expect(empty.message.contains("expected a section 'match', 'types' or 'shape'"))
  }

  @Test("anchors and aliases are refused before they are followed", .timeLimit(.minutes(1)))
  func aliases() throws {
    var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...40 {
      let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      bomb += "a\(level): &a\(level) [\(aliases)]\n"
    }
    for text in [bomb, "? *a\n: 1\n", "match: {architecture: &b llama}\n", "x: [1,*y]\n"] {
      let error = try #require(throws: RecipeError.self) { try recipe(text) }
      #expect(error.message.contains("as anchors and aliases do") && error.line == 1, "\(error)")
    }
    #expect(try recipe(Self.text + "# 2 * 3 & 4\n").match != nil)
  }
}

@Suite("Recipe library")
struct RecipeLibraryTests {
  @Test("the first directory with a name wins, and broken recipes are named, not followed")
  func search() throws {
    let directory = try TemporaryDirectory()
    let (first, second) = (directory.file("a"), directory.file("b"))
    for path in [first, second] {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    func write(_ path: String, _ text: String) throws {
      try Data(text.utf8).write(to: URL(filePath: path))
    }
    let small = "match:\n  architecture: synthetic\n"
    try write(first + "/one.yaml", small)
    try write(first + "/broken.yaml", "match: 1\n")
    try write(first + "/notes.txt", "nothing")
    try write(second + "/one.yaml", "match: 2\n")
    try write(second + "/two.yaml", small + "  block_count: 7\n")
    let library = RecipeLibrary(directories: [first, second, directory.file("none")])
    #expect(library.recipes.map(\.name) == ["broken", "one", "two"])
    #expect(library.recipes[1].path == first + "/one.yaml")
    #expect(library.isRecipe("one") && library.isRecipe("x.yaml") && !library.isRecipe("x.gguf"))

    var metadata = GGUFMetadata()
    metadata.set(.string("synthetic"), for: "general.architecture")
    let found = library.search(metadata)
    #expect(found.choice?.recipe.name == "one")
    #expect(found.problems.count == 1 && found.problems[0].contains("broken.yaml:1: match"))
    metadata.set(.uint32(7), for: "synthetic.block_count")
    #expect(library.search(metadata).choice?.recipe.name == "two")
    let unknown = try #require(throws: RecipeError.self) { try library.recipe("three") }
    #expect(unknown.message.contains("broken, one, two"))
    #expect(RecipeLibrary(directories: []).search(metadata).choice == nil)
  }
}
