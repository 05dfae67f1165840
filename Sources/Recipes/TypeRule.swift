public import GGUF
public import Tensors

/// What type the tensors of a name get.
public struct TypeRule: Sendable, Hashable {
  /// A tensor's name, where `*` stands for any text: `blk.*.ffn_down_exps.weight`. Without a dot it is
  /// the part of the name that says what the tensor is: `ffn_down_exps`, `attn_*`.
  public let pattern: String
  /// ggml type.
  public let type: TensorType

  /// A rule of these.
  public init(pattern: String, type: TensorType) {
    self.pattern = pattern
    self.type = type
  }

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

  /// A header of `source` with the types that `rules` give to its matrices, in one file, for figures.
  /// - Throws: `GGUFError` for rows that are no whole number of blocks of their new type.
  public static func retyped(_ source: GGUFFile, _ rules: [TypeRule]) throws -> GGUFFile {
    let path = source.shards[0].path
    var metadata = source.metadata
    for key in ["split.no", "split.count", "split.tensors.count"] { metadata.remove(key) }
    var writer = GGUFWriter(metadata: metadata)
    for tensor in source.tensors {
      let rule = tensor.dimensions.count > 1 ? rules.first { $0.matches(tensor.name) } : nil
      writer.add(tensor.name, type: rule?.type ?? tensor.type, dimensions: tensor.dimensions)
    }
    let layout = try writer.layout(path: path)
    return try GGUFFile(
      shards: [GGUFShard(path: path, fileSize: layout.fileSize, header: layout.header)])
  }

  /// Whether the rule is for the tensor `name`.
  public func matches(_ name: String) -> Bool {
    if pattern.utf8.contains(UInt8(ascii: ".")) { return Self.glob(pattern, name) }
    var parts = name.split(separator: ".", omittingEmptySubsequences: false)[...]
    if parts.count > 2, parts.first == "blk" { parts = parts.dropFirst(2) }
    if parts.count > 1, parts.last == "weight" { parts = parts.dropLast() }
    return Self.glob(pattern, parts.joined(separator: "."))
  }

  /// Whether `pattern`, with `*` for any text, is all of `text`. Time: length of one times the other.
  private static func glob(_ pattern: String, _ text: String) -> Bool {
    let (pattern, text) = (Array(pattern.utf8), Array(text.utf8))
    var (at, position) = (0, 0)
    // Where to go on when a character does not fit: after the last star, a byte later in the text.
    var resume: (pattern: Int, text: Int)?
    while position < text.count {
      if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
        resume = (at + 1, position)
        at += 1
      } else if at < pattern.count, pattern[at] == text[position] {
        at += 1
        position += 1
      } else if let last = resume {
        resume = (last.pattern, last.text + 1)
        (at, position) = (last.pattern, last.text + 1)
      } else {
        return false
      }
    }
    return pattern[at...].allSatisfy { $0 == UInt8(ascii: "*") }
  }
}
