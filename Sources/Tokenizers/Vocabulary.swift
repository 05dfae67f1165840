internal import GGUF

/// A byte-level BPE vocabulary: tokens, merges, special tokens.
///
/// Ordinary tokens are given in GPT-2's byte-to-character form and are kept as the bytes they stand
/// for; control, unknown and user-defined tokens are literal text. A copy shares all storage.
public struct Vocabulary: Sendable {
  /// What a token is, as `tokenizer.ggml.token_type` says.
  public enum Kind: UInt8, Sendable {
    /// Ordinary text; also what types 0 (undefined) and 6 (byte) are taken for.
    case normal = 1
    /// Stands for what the vocabulary lacks.
    case unknown = 2
    /// Steers the model (`<|im_start|>`); has no text of its own.
    case control = 3
    /// Literal text that is never cut (`<think>`).
    case userDefined = 4
    /// Padding of the vocabulary; has no text.
    case unused = 5

    /// Whether the token's string is literal text rather than byte-level form.
    var isLiteral: Bool { self == .control || self == .userDefined || self == .unknown }
  }

  /// How texts are cut into words.
  public let preTokenizer: PreTokenizer
  /// The token that starts a text, if there is one.
  public let bosID: Int32?
  /// The token that ends a text, if there is one.
  public let eosID: Int32?
  /// Whether a text is to start with ``bosID``.
  public let addsBOS: Bool
  /// The tokens after which nothing follows: ``eosID`` and every end-of-turn, end-of-message and
  /// end-of-text token.
  public let endOfGenerationIDs: Set<Int32>
  let merges: MergeTable
  private let table: TokenTable
  private let kinds: [Kind]

  /// Number of tokens; ids are 0 ..< `tokenCount`.
  public var tokenCount: Int { table.count }

  /// A vocabulary of these tokens.
  ///
  /// - Parameters:
  ///   - tokens: The token strings by id. Empty ones can never be produced from text.
  ///   - types: `tokenizer.ggml.token_type` by id; all ordinary when nil.
  ///   - merges: "left right" in order of preference. Rules about tokens that do not exist are
  ///     ignored: no text could use them.
  ///   - preTokenizer: Value of `tokenizer.ggml.pre`.
  ///   - bosID: The token that starts a text.
  ///   - eosID: The token that ends a text.
  ///   - endIDs: Further tokens that end generation, such as end of turn.
  ///   - addsBOS: Whether texts start with BOS; by default what is usual for the pre-tokenizer.
  /// - Throws: `.unsupported` for an unknown pre-tokenizer and `.invalidVocabulary` for tokens,
  ///   types, merges and ids that contradict each other.
  /// - Complexity: O(bytes of all strings).
  public init(
    tokens: [String], types: [Int32]?, merges: [String], preTokenizer: String,
    bosID: Int32? = nil, eosID: Int32? = nil, endIDs: [Int32] = [], addsBOS: Bool? = nil
  ) throws(TokenizerError) {
    self.preTokenizer = try PreTokenizer.named(preTokenizer)
    guard !tokens.isEmpty, tokens.count <= Int32.max, merges.count <= Int32.max else {
      throw TokenizerError(
        .invalidVocabulary,
        "the vocabulary has \(tokens.count) tokens and \(merges.count) merges, "
          + "expected 1 to \(Int32.max) tokens and at most \(Int32.max) merges")
    }
    kinds = try Self.kinds(types, count: tokens.count)
    table = try Self.table(tokens, kinds)
    self.merges = try MergeTable(merges: merges, tokens: table)
    for (name, id) in [("BOS", bosID), ("EOS", eosID)] + endIDs.map({ ("end", $0) }) {
      guard let id, !(0..<tokens.count).contains(Int(id)) else { continue }
      throw TokenizerError(
        .invalidVocabulary,
        "the \(name) token id is \(id), expected an id below the \(tokens.count) tokens")
    }
    if addsBOS == true, bosID == nil {
      throw TokenizerError(
        .invalidVocabulary, "texts are to start with a BOS token, and none is given")
    }
    self.bosID = bosID
    self.eosID = eosID
    self.addsBOS = addsBOS ?? (bosID != nil && self.preTokenizer.addsBOSByDefault)
    let named = EndOfGeneration.ids(in: tokens, kinds)
    endOfGenerationIDs = named.union(endIDs).union(eosID.map { [$0] } ?? [])
  }

  /// The bytes of a token's text: literal for special tokens. Shares storage; nothing is copied.
  /// Traps when there is no such token.
  public func bytes(of id: Int32) -> ArraySlice<UInt8> { table[id] }

  /// A token's text for display, bytes that are not whole characters as U+FFFD. Traps when there
  /// is no such token.
  public func text(of id: Int32) -> String { String(decoding: table[id], as: UTF8.self) }

  /// What a token is. Traps when there is no such token.
  public func kind(of id: Int32) -> Kind { kinds[Int(id)] }

  /// Whether a token steers the model rather than being text. Traps when there is no such token.
  public func isControl(_ id: Int32) -> Bool { kind(of: id) == .control }

  /// The ordinary token with exactly these bytes, or nil.
  func id(of bytes: Span<UInt8>) -> Int32? { table.id(of: bytes) }

  private static func kinds(_ types: [Int32]?, count: Int) throws(TokenizerError) -> [Kind] {
    guard let types else { return [Kind](repeating: .normal, count: count) }
    guard types.count == count else {
      throw TokenizerError(
        .invalidVocabulary, "the vocabulary has \(count) tokens and \(types.count) token types")
    }
    var kinds: [Kind] = []
    kinds.reserveCapacity(count)
    for (id, type) in types.enumerated() {
      switch type {
      case 0, 1, 6: kinds.append(.normal)
      case 2: kinds.append(.unknown)
      case 3: kinds.append(.control)
      case 4: kinds.append(.userDefined)
      case 5: kinds.append(.unused)
      default:
        throw TokenizerError(
          .invalidVocabulary, "the type of token \(id) is \(type), expected 0 to 6")
      }
    }
    return kinds
  }

  private static func table(_ tokens: [String], _ kinds: [Kind]) throws(TokenizerError)
    -> TokenTable
  {
    var table = TokenTable(capacity: tokens.count)
    var literals: [String: Int32] = [:]
    var bytes: [UInt8] = []
    for (id, token) in tokens.enumerated() {
      bytes.removeAll(keepingCapacity: true)
      // A string outside the alphabet is literal whatever its type, and no text leads to it.
      let isLiteral = kinds[id].isLiteral || !ByteLevelAlphabet.decode(token, into: &bytes)
      if isLiteral { bytes.append(contentsOf: token.utf8) }
      var earlier = table.append(bytes, isSearchable: !isLiteral && !token.isEmpty)
      if isLiteral, !token.isEmpty { earlier = literals.updateValue(Int32(id), forKey: token) }
      if let earlier {
        throw TokenizerError(
          .invalidVocabulary,
          "tokens \(earlier) and \(id) are both \(token.quotedForMessage), "
            + "expected every token once"
        )
      }
    }
    return table
  }
}
