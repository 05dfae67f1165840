internal import FileIO

/// What is known about a model beside its checkpoint, read from a YAML file in `recipes/`.
///
/// Unknown keys are refused, every number has a range, and messages name file, line and key. The
/// sections are described in `recipes/README.md`.
public struct Recipe: Sendable {
  /// Path of the file.
  public let path: String
  /// Section `match`: which checkpoints the recipe is for; nil for one that is only ever named.
  public let match: RecipeMatch?
  /// Section `layout`: how `convert` writes the pack.
  public let layout: RecipeLayout
  /// Section `types`: what type `convert --recipe` gives to which tensors, the first rule that matches
  /// a tensor.
  public let typeRules: [TypeRule]
  /// Section `defaults`: how the model is best run.
  public let defaults: RecipeDefaults
  /// Section `reference`: what was published or measured.
  public let reference: RecipeReference
  /// Section `shape`: the model's true shape, for `synth` and `plan`.
  public let shape: ModelShape?

  /// Larger than any recipe, small enough to parse at once.
  private static let byteLimit = 64 << 10

  /// Name of the recipe: that of its file without the ending.
  public var name: String {
    let file = path.split(separator: "/").last ?? ""
    return String(file.hasSuffix(RecipeLibrary.fileEnding) ? file.dropLast(5) : file)
  }

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
    let sections = ["match", "layout", "types", "defaults", "reference", "shape"]
    let fields = try root.mapping(sections, optional: sections)
    let shape = try fields.optional("shape").map { try ModelShape($0) }
    let match = try fields.optional("match").map { try RecipeMatch($0, shape: shape) }
    guard shape != nil || match != nil || fields.optional("types") != nil else {
      throw root.error("expected a section 'match', 'types' or 'shape', found none of them")
    }
    self.shape = shape
    self.match = match
    layout = try fields.optional("layout").map { try RecipeLayout($0) } ?? RecipeLayout()
    typeRules = try fields.optional("types").map { try TypeRule.list($0) } ?? []
    defaults = try fields.optional("defaults").map { try RecipeDefaults($0) } ?? RecipeDefaults()
    reference =
      try fields.optional("reference").map { try RecipeReference($0) } ?? RecipeReference()
  }

  /// The shape; throws where the recipe has none.
  public func requiredShape() throws(RecipeError) -> ModelShape {
    guard let shape else {
      throw RecipeError(
        path: path, line: nil,
        message: "expected a section 'shape', which says what to synthesize, found none")
    }
    return shape
  }

  /// Path of the GGUF or pack whose tokenizer synthetic files get: as the shape has it, relative to
  /// the directory that holds the recipe.
  public var tokenizerPath: String? {
    guard let tokenizer = shape?.tokenizer, !tokenizer.hasPrefix("/"),
      let slash = path.lastIndex(of: "/")
    else { return shape?.tokenizer }
    return path[...slash] + tokenizer
  }
}
