import Foundation
import GGUF
import Recipes
import Tensors
import TestSupport
import Testing

@Suite("Recipes of the repository")
struct ShippedRecipeTests {
  private static let library = RecipeLibrary(directories: [ShippedRecipes.directory])

  private func metadata(of recipe: Recipe) throws -> GGUFMetadata {
    let shape = try recipe.requiredShape()
    var metadata = GGUFMetadata()
    metadata.set(.string(GGUFString(shape.architecture)), for: "general.architecture")
    for entry in shape.metadata { metadata.set(entry.value, for: entry.key) }
    return metadata
  }

  @Test("there is one for every model that is promised")
  func names() {
    #expect(
      ShippedRecipes.names == [
        "deepseek-v3", "glm-4.5-air", "gpt-oss-120b", "gpt-oss-20b", "mixtral-8x7b", "olmoe-1b-7b",
        "qwen3-235b-a22b", "qwen3-30b-a3b", "qwen3-next-80b-a3b", "qwen3.5-122b-a10b",
        "qwen3.5-35b-a3b", "qwen3.5-397b-a17b", "tiny-qwen35moe",
      ])
  }

  @Test(
    "each is read, has every section, and is found for its own shape",
    arguments: ShippedRecipes.names)
  func isFound(_ name: String) throws {
    let recipe = try Recipe.read(ShippedRecipes.path(name))
    #expect(recipe.name == name && recipe.match != nil && recipe.shape != nil)
    #expect(!recipe.typeRules.isEmpty && !recipe.reference.figures.isEmpty)
    #expect(recipe.defaults.cachePolicy != nil)
    #expect(FileManager.default.fileExists(atPath: try #require(recipe.tokenizerPath)))
    let search = Self.library.search(try metadata(of: recipe))
    #expect(search.choice?.recipe.name == name && search.problems == [])
    #expect(search.choice?.reason.hasPrefix("architecture ") == true)
  }

  @Test("the fixture's recipe is found for the fixture")
  func fixture() throws {
    let search = Self.library.search(try GGUFFile.open(Fixtures.checkpoint).metadata)
    #expect(search.choice?.recipe.name == "tiny-qwen35moe")
    #expect(
      search.choice?.reason
        == "architecture qwen35moe, block_count 8, embedding_length 256, expert_count 24, "
        + "expert_feed_forward_length 256")
  }

  @Test(
    "the type rules give every matrix of the shape the type that it has",
    arguments: ShippedRecipes.names)
  func rules(_ name: String) throws {
    let recipe = try Recipe.read(ShippedRecipes.path(name))
    for tensor in try recipe.requiredShape().tensors where tensor.type != .f32 {
      let rule = recipe.typeRules.first { $0.matches(tensor.name) }
      #expect(rule?.type == tensor.type, "\(tensor.name)")
      #expect(tensor.dimensions[0] % UInt64(tensor.type.blockSize) == 0)
    }
    // No rule is left over.
    for rule in recipe.typeRules {
      #expect(try recipe.requiredShape().tensors.contains { rule.matches($0.name) }, "\(rule)")
    }
  }

  /// Billions of parameters as published, without layers that predict further tokens.
  private static let parameters: [String: Double] = [
    "deepseek-v3": 671, "glm-4.5-air": 106, "gpt-oss-120b": 116.8, "gpt-oss-20b": 20.9,
    "mixtral-8x7b": 46.7, "olmoe-1b-7b": 6.92, "qwen3-235b-a22b": 235.1, "qwen3-30b-a3b": 30.5,
    "qwen3-next-80b-a3b": 80, "qwen3.5-122b-a10b": 122, "qwen3.5-35b-a3b": 35,
    "qwen3.5-397b-a17b": 397,
  ]

  @Test("a shape has as many parameters as its model", arguments: parameters.keys.sorted())
  func parameterCount(_ name: String) throws {
    let shape = try Recipe.read(ShippedRecipes.path(name)).requiredShape()
    let predicting = shape.count("nextn_predict_layers") ?? 0
    let tensors = shape.resized(layers: shape.blockCount - predicting).tensors
    let count = tensors.reduce(0.0) { $0 + $1.dimensions.reduce(1.0) { $0 * Double($1) } } / 1e9
    let expected = try #require(Self.parameters[name])
    #expect(abs(count / expected - 1) < 0.015, "\(count) of \(expected) billion")
  }

  @Test(
    "a shape has as many tensors as the GGUFs of its model",
    arguments: [("deepseek-v3", 1086), ("qwen3-next-80b-a3b", 843), ("gpt-oss-20b", 459)])
  func tensorCount(_ name: String, _ count: Int) throws {
    let shape = try Recipe.read(ShippedRecipes.path(name)).requiredShape()
    #expect(shape.tensors.count == count)
    #expect(Set(shape.tensors.map(\.name)).count == count)
  }

  @Test("fewer layers and experts leave a model that can be")
  func resized() throws {
    let deep = try Recipe.read(ShippedRecipes.path("deepseek-v3")).requiredShape()
    let small = deep.resized(layers: 2, experts: 6)
    #expect(small.count("leading_dense_block_count") == 1)
    #expect(small.expertUsedCount == 6 && small.count("expert_group_count") == 1)
    #expect(small.tensors.contains { $0.name == "blk.1.exp_probs_b.bias" })
    #expect(small.tensors.contains { $0.name == "blk.0.ffn_gate.weight" })
    #expect(deep.resized(experts: 16).count("expert_group_count") == 8)
    let air = try Recipe.read(ShippedRecipes.path("glm-4.5-air")).requiredShape()
    #expect(air.tensors.contains { $0.name == "blk.46.nextn.eh_proj.weight" })
    #expect(!air.resized(layers: 3).tensors.contains { $0.name.contains("nextn") })
  }
}
