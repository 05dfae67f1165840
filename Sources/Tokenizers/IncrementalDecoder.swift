/// Turns token ids into text as they come, whole characters only.
///
/// A token may end inside a character: its bytes are held back until the rest arrives. Bytes that
/// cannot become a character are U+FFFD as soon as that is known. All text together is that of
/// all bytes decoded at once.
public struct IncrementalDecoder: Sendable {
  private let vocabulary: Vocabulary
  private let rendersControlTokens: Bool
  /// The beginning of a character, at most 3 bytes.
  private var pending: [UInt8] = []

  /// A decoder at the start of a text.
  /// - Parameters:
  ///   - vocabulary: What ids stand for.
  ///   - rendersControlTokens: Whether control tokens appear as their literal text; they have no
  ///     text otherwise.
  public init(vocabulary: Vocabulary, rendersControlTokens: Bool = false) {
    self.vocabulary = vocabulary
    self.rendersControlTokens = rendersControlTokens
  }

  /// The text that `id` completes, which may be empty.
  ///
  /// An id outside the vocabulary (models may have more outputs than tokens) is U+FFFD.
  public mutating func append(_ id: Int32) -> String {
    guard id >= 0, Int(id) < vocabulary.tokenCount else { return finish() + "\u{FFFD}" }
    switch vocabulary.kind(of: id) {
    case .unused: return ""
    case .control, .unknown: guard rendersControlTokens else { return "" }
    case .normal, .userDefined: break
    }
    // In place, and the memory stays: a token allocates nothing.
    pending += vocabulary.bytes(of: id)
    let complete = pending.count - UTF8Sequence.incompleteSuffixLength(of: pending.span)
    let text = String(decoding: pending[..<complete], as: UTF8.self)
    pending.removeFirst(complete)
    return text
  }

  /// Ends the text: U+FFFD for an unfinished character, empty otherwise. The decoder can start
  /// another text.
  public mutating func finish() -> String {
    defer { pending.removeAll() }
    return String(decoding: pending, as: UTF8.self)
  }
}
