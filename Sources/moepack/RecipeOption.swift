import ArgumentParser
import CommandSupport
import GGUF
import Recipes

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
}
