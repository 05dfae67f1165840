internal import GGUF

/// The merge rules of a byte-pair encoding: which two tokens join, in what order of preference.
struct MergeTable: Sendable {
  /// Rank by pair of token ids, packed as left << 32 | right; a lower rank merges first.
  private var ranks: [UInt64: Int32] = [:]
  /// The token that a merge makes, by rank; -1 for a rule that is ignored. [merges]
  private var results: [Int32]
  /// The token of each single byte, -1 where the vocabulary has none. [256]
  let byteIDs: [Int32]

  /// Resolves `merges` ("left right", in byte-level form) against the vocabulary.
  ///
  /// A rule about a token that the vocabulary lacks can never lead to a token and is ignored, as is
  /// the repetition of a rule. Throws when a rule has no space to split at.
  init(merges: [String], tokens: TokenTable) throws(TokenizerError) {
    byteIDs = (0...255).map { byte in tokens.id(of: [UInt8(byte)].span) ?? -1 }
    results = [Int32](repeating: -1, count: merges.count)
    ranks.reserveCapacity(merges.count)
    var left: [UInt8] = []
    var right: [UInt8] = []
    for (rank, merge) in merges.enumerated() {
      // The first character may itself be a space in vocabularies that do not encode it.
      guard !merge.isEmpty,
        let space = merge.utf8.dropFirst().firstIndex(of: UInt8(ascii: " "))
      else {
        throw TokenizerError(
          .invalidVocabulary,
          "merge \(rank) is \(merge.quotedForMessage), expected two tokens separated by a space")
      }
      left.removeAll(keepingCapacity: true)
      right.removeAll(keepingCapacity: true)
      guard ByteLevelAlphabet.decode(String(merge[..<space]), into: &left),
        ByteLevelAlphabet.decode(String(merge[merge.utf8.index(after: space)...]), into: &right),
        let leftID = tokens.id(of: left.span), let rightID = tokens.id(of: right.span)
      else { continue }
      left.append(contentsOf: right)
      guard let result = tokens.id(of: left.span) else { continue }
      let key = Self.key(leftID, rightID)
      guard ranks[key] == nil else { continue }
      ranks[key] = Int32(rank)
      results[rank] = result
    }
  }

  /// Number of rules in use.
  var count: Int { ranks.count }

  /// The rank of joining `left` and `right`, or nil when no rule does.
  func rank(_ left: Int32, _ right: Int32) -> Int32? { ranks[Self.key(left, right)] }

  /// The token that the rule of `rank` makes.
  func result(_ rank: Int32) -> Int32 { results[Int(rank)] }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }
}
