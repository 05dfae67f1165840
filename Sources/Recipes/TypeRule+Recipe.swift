public import GGUF
internal import Tensors

extension TypeRule {
  /// Types that `convert` can make.
  static let types: [TensorType] = [
    .q8_0, .q6_K, .q5_K, .q4_K, .iq4_XS, .iq4_NL, .q4_0, .mxfp4, .iq3_XXS,
  ]

  /// Reads section `types`.
  static func list(_ node: RecipeNode) throws(RecipeError) -> [TypeRule] {
    var rules: [TypeRule] = []
    for (pattern, value) in try node.entries(atMost: 256) {
      let isName = pattern.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: ".*_-".utf8.contains(byte)
        }
      }
      guard isName, (1...128).contains(pattern.utf8.count) else {
        throw value.error(
          "expected the name of a tensor as key, of letters, digits, '.', '_', '-' and '*' for any "
            + "text, found '\(pattern.prefix(64))'")
      }
      rules.append(TypeRule(pattern: pattern, type: try value.type(among: types)))
    }
    return rules
  }

  /// The rule that gives `tensor` its type: the first that matches; nil for vectors, which keep theirs, also where
  /// they are stored as one row of a matrix.
  public static func first(of rules: [TypeRule], for tensor: GGUFTensor) -> TypeRule? {
    tensor.elementCount > tensor.dimensions[0] ? rules.first { $0.matches(tensor.name) } : nil
  }

  /// A header of `source` with the types that `rules` give to its matrices, in one file, for figures.
  /// - Throws: `GGUFError` for rows that are no whole number of blocks of their new type.
  public static func retyped(_ source: GGUFFile, _ rules: [TypeRule]) throws -> GGUFFile {
    let path = source.shards[0].path
    var metadata = source.metadata
    for key in ["split.no", "split.count", "split.tensors.count"] { metadata.remove(key) }
    var writer = GGUFWriter(metadata: metadata)
    for tensor in source.tensors {
      let rule = first(of: rules, for: tensor)
      writer.add(tensor.name, type: rule?.type ?? tensor.type, dimensions: tensor.dimensions)
    }
    let layout = try writer.layout(path: path)
    return try GGUFFile(
      shards: [GGUFShard(path: path, fileSize: layout.fileSize, header: layout.header)])
  }
}
