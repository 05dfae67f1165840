import ArgumentParser
import CommandSupport
import GGUF
import Recipes
import Tensors

/// `--recipe`, and the recipe that is taken without it.
struct RecipeOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The recipe to pack by, with its types: a name or a file. (default: the one that matches, "
        + "without types)", valueName: "recipe"))
  var recipe: String?

  /// The recipe for `source`, which a line on standard error names with the reason; nil where there is
  /// none.
  func choose(for source: GGUFFile) throws -> RecipeLibrary.Choice? {
    let library = RecipeLibrary.standard
    if let recipe {
      return .init(recipe: try library.recipe(recipe), reason: "as told")
    }
    let search = library.search(source.metadata)
    for problem in search.problems { Console.message("moepack: skipped \(problem)") }
    guard let choice = search.choice else { return nil }
    Console.message("moepack: recipe \(choice.recipe.name) (\(choice.reason))")
    return choice
  }

  /// Refuses a recipe that was named and gives tensors of `source` other types than they have, which
  /// converting does not change: what it writes would not be what was asked for.
  func checkTypes(of source: GGUFFile) throws {
    guard let recipe else { return }
    let named = try RecipeLibrary.standard.recipe(recipe)
    let changes = source.tensors.filter { tensor in
      tensor.dimensions.count > 1
        && named.typeRules.first { $0.matches(tensor.name) }.map { $0.type != tensor.type } ?? false
    }
    guard let first = changes.first else { return }
    throw RecipeError(
      path: named.path, line: nil,
      message: "gives other types to \(changes.count) tensors than they have, the first "
        + "\(first.name.quotedForMessage), which is \(first.type.name); converting keeps types: "
        + "leave --recipe out, or requantize the GGUF first")
  }
}
