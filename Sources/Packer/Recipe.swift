internal import FileIO

/// What is known about a model beside its checkpoint, read from a YAML file in `recipes/`.
///
/// Unknown keys are refused, every number has a range, and messages name file, line and key.
public struct Recipe: Sendable {
  /// Path of the file.
  public let path: String
  /// The model's true shape.
  public let shape: RecipeShape

  /// Larger than any recipe, small enough to parse at once.
  private static let byteLimit = 64 << 10

  /// Reads the recipe at `path`.
  /// - Throws: ``RecipeError`` for what is wrong in the file, `FileIOError` where it cannot be read.
  public static func read(_ path: String) throws -> Recipe {
    let bytes = try File.contents(path, atMost: byteLimit)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw RecipeError(path: path, line: nil, message: "is not UTF-8; expected a YAML file")
    }
    return try Recipe(text: text, path: path)
  }

  /// Reads a recipe from its text; `path` is what messages call it and what ``tokenizerPath``
  /// starts from.
  public init(text: String, path: String) throws {
    self.path = path
    let root = try RecipeNode.document(text, path: path)
    shape = try RecipeShape(try root.mapping(["shape"])["shape"])
  }

  /// Path of the GGUF or pack whose tokenizer synthetic files get: as the recipe has it, relative
  /// to the directory that holds the recipe.
  public var tokenizerPath: String {
    guard !shape.tokenizer.hasPrefix("/") else { return shape.tokenizer }
    guard let slash = path.lastIndex(of: "/") else { return shape.tokenizer }
    return path[...slash] + shape.tokenizer
  }
}
