import CommandSupport
import ExpertPack
import GGUF
import Packer
import Planner
import Recipes

/// What `plan` is about: a file, or the shape of a recipe.
struct PlanSubject {
  /// The header; of a recipe without a tokenizer.
  let source: GGUFFile
  /// The pack that it would give.
  let plan: PackPlan
  /// The room that converting needs.
  let space: PackSpace
  /// The recipe, and why it was taken; nil where none is for the model.
  let choice: RecipeLibrary.Choice?
  /// Whether `choice` was named, so that its type rules hold.
  let isNamed: Bool
  /// Recipes that could not be read.
  let problems: [String]
  /// Whether there is no file.
  let isShape: Bool

  /// Takes `text` as a recipe or as a file, with the recipe `name` or the one that matches.
  init(_ text: String, recipe name: String?) throws {
    let library = RecipeLibrary.standard
    isShape = library.isRecipe(text)
    isNamed = name != nil
    if isShape {
      let recipe = try library.recipe(text)
      source = try recipe.requiredShape().source(path: recipe.path)
      choice = .init(recipe: recipe, reason: "named")
      problems = []
      plan = try PackPlan(source: source)
      space = try Self.space(source)
      return
    }
    let file = try GGUFFile.open(text)
    if let name {
      let recipe = try library.recipe(name)
      source = try TypeRule.retyped(file, recipe.typeRules)
      choice = .init(recipe: recipe, reason: "named; its types are those of this plan")
      problems = []
    } else {
      let search = library.search(file.metadata)
      (source, choice, problems) = (file, search.choice, search.problems)
    }
    plan = try PackPlan(source: source)
    space = try Self.space(source)
  }

  private static func space(_ source: GGUFFile) throws -> PackSpace {
    PackSpace(source: source, layout: try PackLayout(source: source), kind: .packed)
  }

  /// Files on the disk of the source, for measuring it.
  func files(of path: String) -> [String] {
    isShape ? [] : (try? GGUFFile.open(path).shards.map(\.path)) ?? []
  }
}
