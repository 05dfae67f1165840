/// Why a vocabulary is refused or a text cannot be tokenized.
public struct TokenizerError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kinds of failure, stable for callers and tests.
  public enum Code: String, Sendable {
    /// A tokenizer model or a pre-tokenizer that is not known here.
    case unsupported
    /// Tokens, types, merges or special ids that contradict each other.
    case invalidVocabulary
    /// Text that is not UTF-8.
    case invalidUTF8
    /// Text that is longer than token positions can count.
    case textTooLong
    /// A byte of the text for which the vocabulary has no token.
    case missingByteToken
    /// A pre-tokenizer pattern that failed while matching.
    case patternFailure
  }

  /// The kind of failure.
  public let code: Code
  /// What was found, what was expected, and the next step if there is one.
  public let message: String

  /// An error of this kind with this message.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// The message.
  public var description: String { message }
}
