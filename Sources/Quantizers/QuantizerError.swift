/// Why weights cannot be quantised, or an importance matrix cannot be used.
public struct QuantizerError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What a caller may decide on.
  public enum Code: Sendable {
    /// A weight that no block can hold: infinite, no number, or beyond the range of the scales.
    case unencodable
    /// The file is no importance matrix in GGUF form.
    case notAnImportanceMatrix
    /// An entry of an importance matrix that contradicts itself or holds impossible numbers.
    case invalidImportance
    /// An importance matrix of another shape than the tensor: another model's.
    case otherShape
  }

  /// What a caller may decide on.
  public let code: Code
  /// What and where, expected and found, and the next step if there is one.
  public let message: String

  /// An error with its full message.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// The message.
  public var description: String { message }
}
