internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
public import GGUF

/// The recipes that this machine has: files `NAME.yaml` in a few directories.
public struct RecipeLibrary: Sendable {
  /// Directories in the order of search; the first with a name wins.
  public let directories: [String]

  /// The environment variable that names the only directory to search; empty for none.
  public static let variable = "MOEPACK_RECIPES"
  static let fileEnding = ".yaml"
  /// More files in a directory are not looked at.
  private static let fileLimit = 256

  /// A library of these directories.
  public init(directories: [String]) { self.directories = directories }

  /// The directories of this process: what the environment's `MOEPACK_RECIPES` says; without it
  /// `recipes` where the process was started, then what lies beside the executable, as it is installed
  /// (`../share/moepack/recipes`) or as SwiftPM builds it in a checkout.
  public static var standard: RecipeLibrary {
    if let path = ProcessInfo.processInfo.environment[variable] {
      return RecipeLibrary(directories: path.isEmpty ? [] : [path])
    }
    var directories = ["recipes"]
    if let directory = executableDirectory {
      directories += ["../share/moepack/recipes", "../../recipes", "../../../recipes"].map {
        "\(directory)/\($0)"
      }
    }
    return RecipeLibrary(directories: directories.filter { Directory.exists($0) })
  }

  /// Where the executable lies, links followed where the system says; nil when it does not and the
  /// program was started by its name alone.
  private static var executableDirectory: String? {
    let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    guard let path = link ?? CommandLine.arguments.first, path.contains("/") else { return nil }
    return path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
      .joined(separator: "/")
  }

  /// Names of the recipes, each with its path, sorted.
  public var recipes: [(name: String, path: String)] {
    var paths: [String: String] = [:]
    for directory in directories {
      let files = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
      for file in files.sorted().prefix(Self.fileLimit) where file.hasSuffix(Self.fileEnding) {
        let name = String(file.dropLast(Self.fileEnding.count))
        if paths[name] == nil { paths[name] = "\(directory)/\(file)" }
      }
    }
    return paths.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 }
  }

  /// Whether `text` names a recipe rather than a model: it ends in `.yaml`, or is the name of one.
  public func isRecipe(_ text: String) -> Bool {
    text.hasSuffix(Self.fileEnding)
      || (!text.contains("/") && recipes.contains { $0.name == text })
  }

  /// The recipe that `text` means: a path when it has a slash or ends in `.yaml`, else a name.
  /// - Throws: ``RecipeError`` for an unknown name or a wrong recipe; `FileIOError` for a file that
  ///   cannot be read.
  public func recipe(_ text: String) throws -> Recipe {
    if text.contains("/") || text.hasSuffix(Self.fileEnding) { return try Recipe.read(text) }
    let known = recipes
    guard let path = known.first(where: { $0.name == text })?.path else {
      throw RecipeError(
        path: text, line: nil,
        message: "no recipe has this name; expected a file NAME.yaml or "
          + (known.isEmpty
            ? "a recipe, of which none were found (see \(Self.variable))"
            : known.map(\.name).joined(separator: ", ")))
    }
    return try Recipe.read(path)
  }

  /// A recipe and why it was chosen.
  public struct Choice: Sendable {
    /// The recipe.
    public let recipe: Recipe
    /// What it and the checkpoint have in common, or who named it.
    public let reason: String

    /// A choice for `reason`.
    public init(recipe: Recipe, reason: String) {
      self.recipe = recipe
      self.reason = reason
    }
  }

  /// What looking for a checkpoint's recipe gave.
  public struct Search: Sendable {
    /// The recipe that says most about the checkpoint; nil where none is for it.
    public let choice: Choice?
    /// Recipes that could not be read, and why.
    public let problems: [String]
  }

  /// Looks for the recipe of the checkpoint with `metadata`. Of several the one with most sizes is
  /// taken, then the first by name.
  public func search(_ metadata: GGUFMetadata) -> Search {
    var found: (recipe: Recipe, match: RecipeMatch)?
    var problems: [String] = []
    for (_, path) in recipes {
      do {
        let recipe = try Recipe.read(path)
        guard let match = recipe.match, match.holds(metadata) else { continue }
        if found.map({ $0.match.sizes.count < match.sizes.count }) ?? true {
          found = (recipe, match)
        }
      } catch {
        problems.append("\(error)")
      }
    }
    let choice = found.map { Choice(recipe: $0.recipe, reason: $0.match.reason(metadata)) }
    return Search(choice: choice, problems: problems)
  }
}
