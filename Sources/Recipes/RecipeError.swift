/// Why a recipe cannot be used, and where in its file.
public struct RecipeError: Error, Sendable, CustomStringConvertible {
  /// Path of the recipe.
  public let path: String
  /// Line in the file, from 1; nil when the file as a whole is meant.
  public let line: Int?
  /// What was expected, what was found, and the next step if there is one.
  public let message: String

  /// An error at `line` of the recipe at `path`.
  public init(path: String, line: Int?, message: String) {
    self.path = path
    self.line = line
    self.message = message
  }

  /// Path, line and message.
  public var description: String { "\(path)\(line.map { ":\($0)" } ?? ""): \(message)" }
}
