/// Why text cannot be generated.
public struct GenerationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kinds of failure, stable for callers and tests.
  public enum Code: String, Sendable {
    /// A sampler setting outside its range.
    case invalidSetting
    /// Logits that no token can be chosen from.
    case invalidLogits
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
