/// Byte-level BPE: text to token ids.
///
/// Special tokens are cut out, the rest is cut into words by the vocabulary's pre-tokenizer, and
/// each word is merged from its bytes. There is no Unicode normalisation. Immutable: one tokenizer
/// may be used from any number of threads.
public final class Tokenizer: Sendable {
  /// The vocabulary that ids refer to.
  public let vocabulary: Vocabulary
  private let patterns: [SplitPattern]
  private let specialTokens: SpecialTokens

  /// Prepares `vocabulary` for encoding.
  ///
  /// Throws `.patternFailure` when PCRE2 refuses the pre-tokenizer's patterns.
  public init(vocabulary: Vocabulary) throws(TokenizerError) {
    self.vocabulary = vocabulary
    var patterns: [SplitPattern] = []
    for pattern in vocabulary.preTokenizer.patterns { patterns.append(try SplitPattern(pattern)) }
    self.patterns = patterns
    specialTokens = SpecialTokens(vocabulary)
  }

  /// The ids of `text`.
  ///
  /// - Parameters:
  ///   - text: Any text; an empty one has no tokens but BOS.
  ///   - parseSpecial: Whether the text of control tokens (`<|im_start|>`) becomes those tokens.
  ///     User-defined tokens are parsed in either case.
  ///   - addBOS: Whether to start with the BOS token; by default what the vocabulary says.
  /// - Returns: Token ids.
  /// - Throws: `.missingByteToken` when the vocabulary cannot express a byte of the text,
  ///   `.invalidVocabulary` when BOS is asked for and the vocabulary has none, `.textTooLong` from
  ///   2 GiB.
  /// - Complexity: O(n) in the text, O(n log n) in the longest word.
  public func encode(
    _ text: String, parseSpecial: Bool = true, addBOS: Bool? = nil
  ) throws(TokenizerError) -> [Int32] {
    try encode(bytes: Array(text.utf8), parseSpecial: parseSpecial, addBOS: addBOS)
  }

  /// The ids of a text given as UTF-8 bytes, as from a file.
  ///
  /// As ``encode(_:parseSpecial:addBOS:)``, and throws `.invalidUTF8` with the offset of the first
  /// byte that is not part of a well-formed character: replacing it would encode another text.
  public func encode(
    bytes: [UInt8], parseSpecial: Bool = true, addBOS: Bool? = nil
  ) throws(TokenizerError) -> [Int32] {
    guard bytes.count <= Int32.max else {
      throw TokenizerError(
        .textTooLong, "the text has \(bytes.count) bytes, expected at most \(Int32.max)")
    }
    if let offset = UTF8Sequence.firstInvalidOffset(in: bytes.span) {
      let hex = String(bytes[offset], radix: 16, uppercase: true)
      throw TokenizerError(
        .invalidUTF8,
        "the text is not UTF-8: byte 0x\(hex) at offset \(offset) is not part of a character; "
          + "convert the text to UTF-8")
    }
    var ids: [Int32] = []
    ids.reserveCapacity(bytes.count / 4 + 1)
    if addBOS ?? vocabulary.addsBOS {
      guard let bos = vocabulary.bosID else {
        throw TokenizerError(
          .invalidVocabulary, "the vocabulary has no BOS token to start the text with")
      }
      ids.append(bos)
    }
    let matcher = try SplitPattern.Matcher(textLength: bytes.count)
    var merger = BytePairMerger(merges: vocabulary.merges)
    for piece in specialTokens.split(bytes.span, parseSpecial: parseSpecial) {
      switch piece {
      case .token(let id): ids.append(id)
      case .text(let range):
        try append(range, of: bytes, to: &ids, matcher, &merger)
      }
    }
    return ids
  }

  /// The text of `ids`. Control and unused tokens have no text; ill-formed UTF-8 becomes U+FFFD.
  public func decode(_ ids: some Sequence<Int32>) -> String {
    var decoder = IncrementalDecoder(vocabulary: vocabulary)
    var text = ""
    for id in ids { text += decoder.append(id) }
    return text + decoder.finish()
  }

  /// Appends the ids of `text[range]`, which has no special tokens.
  private func append(
    _ range: Range<Int>, of text: [UInt8], to ids: inout [Int32],
    _ matcher: borrowing SplitPattern.Matcher, _ merger: inout BytePairMerger
  ) throws(TokenizerError) {
    guard let last = patterns.last else { return }
    var pieces = [range]
    for pattern in patterns.dropLast() {
      var cut: [Range<Int>] = []
      try unsafe text.withUnsafeBufferPointer { bytes throws(TokenizerError) in
        for piece in pieces {
          try unsafe pattern.split(piece, of: bytes, with: matcher) { cut.append($0) }
        }
      }
      pieces = cut
    }
    try unsafe text.withUnsafeBufferPointer { bytes throws(TokenizerError) in
      for piece in pieces {
        try unsafe last.split(piece, of: bytes, with: matcher) { word throws(TokenizerError) in
          if vocabulary.preTokenizer.takesWholeWords,
            let id = vocabulary.id(of: text.span.extracting(word))
          {
            ids.append(id)
          } else {
            try merger.append(word, of: text.span, to: &ids)
          }
        }
      }
    }
  }
}
