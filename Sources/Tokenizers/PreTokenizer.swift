/// How a text is cut into words before byte-pair encoding: one row a kind of vocabulary.
///
/// The patterns follow llama.cpp, whose ids a GGUF's vocabulary is made for, in two points where
/// it differs from the tokenizers the models were published with: contractions fold ASCII letters
/// alone, and case in the `gpt-4o` pattern is that of ASCII letters.
///
/// Categories of characters are those of the system's PCRE2: 10.42 knows Unicode 14, and some 5,000
/// characters assigned later (CJK extensions H and I most of all) are to it neither letters, marks
/// nor digits, so that words around them may be cut otherwise than by a newer one.
public struct PreTokenizer: Sendable, Equatable {
  /// Values of `tokenizer.ggml.pre` that this row stands for.
  public let names: [String]
  /// Patterns (PCRE2, UTF and UCP), applied in order, each within the pieces that the ones before
  /// it cut; text between two matches is a piece as well.
  public let patterns: [String]
  /// Whether a word that is a token is that token, whatever the merges would make of it.
  public let takesWholeWords: Bool
  /// Whether a text starts with the BOS token when the file does not say.
  public let addsBOSByDefault: Bool

  private init(
    _ names: [String], _ patterns: [String], takesWholeWords: Bool = false,
    addsBOSByDefault: Bool = false
  ) {
    self.names = names
    self.patterns = patterns
    self.takesWholeWords = takesWholeWords
    self.addsBOSByDefault = addsBOSByDefault
  }

  /// The row for a value of `tokenizer.ggml.pre`. Throws `.unsupported` with the known names.
  public static func named(_ name: String) throws(TokenizerError) -> PreTokenizer {
    guard let row = all.first(where: { $0.names.contains(name) }) else {
      let known = all.flatMap(\.names).sorted().joined(separator: ", ")
      throw TokenizerError(
        .unsupported,
        "tokenizer.ggml.pre is '\(name.prefix(80))', expected one of \(known)")
    }
    return row
  }

  /// Every known row.
  public static let all: [PreTokenizer] = [
    PreTokenizer(
      ["qwen35"],
      [
        contraction + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"#
          + #"| ?[^\#(space)\p{L}\p{M}\p{N}]+[\r\n]*"# + lineEndsAndSpaces
      ]),
    PreTokenizer(
      ["qwen2", "deepseek-r1-qwen", "megrez", "stablelm2"],
      [
        contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + symbols + lineEndsAndSpaces
      ]),
    PreTokenizer(
      ["llama-bpe", "llama3", "llama-v3"],
      [
        contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"# + symbols + lineEndsAndSpaces
      ], takesWholeWords: true, addsBOSByDefault: true),
    PreTokenizer(
      ["glm4"],
      [
        contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"# + symbols + lineEndsAndSpaces
      ], takesWholeWords: true),
    PreTokenizer(
      ["gpt-4o", "llama4"],
      [
        #"[^\r\n\p{L}\p{N}]?[^\P{L}a-z]*[^\P{L}A-Z]+"# + "(?:\(contraction))?"
          + #"|[^\r\n\p{L}\p{N}]?[^\P{L}a-z]+[^\P{L}A-Z]*"# + "(?:\(contraction))?"
          + #"|\p{N}{1,3}| ?[^\#(space)\p{L}\p{N}]+[\r\n/]*"# + lineEndsAndSpaces
      ]),
    PreTokenizer(
      ["deepseek-v3"],
      [
        #"\p{N}{1,3}"#,
        #"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+"#,
        ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"##
          + #"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"# + lineEndsAndSpaces,
      ]),
    PreTokenizer(
      ["gpt-2", "olmo"],
      [
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\#(space)\p{L}\p{N}]+"#
          + #"|[\#(space)]+(?![^\#(space)])|[\#(space)]+"#
      ]),
  ]

  /// White space (Unicode property White_Space) as members of a class. PCRE2's own `\s` has U+180E
  /// besides, which has not been a space since Unicode 6.3.
  private static let space = #"\t-\r\x{85}\p{Z}"#
  private static let contraction =
    "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
  private static let symbols = #"| ?[^\#(space)\p{L}\p{N}]+[\r\n]*"#
  private static let lineEndsAndSpaces =
    #"|[\#(space)]*[\r\n]+|[\#(space)]+(?![^\#(space)])|[\#(space)]+"#
}
