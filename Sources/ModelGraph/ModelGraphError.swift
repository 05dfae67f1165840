/// Why a model cannot be run, or an evaluation cannot go on.
public struct ModelGraphError: Error, Sendable, CustomStringConvertible {
  /// What a caller may decide on.
  public enum Code: Sendable {
    /// An architecture, or a variant of one, that this graph does not compute.
    case unsupported
    /// A hyper-parameter that contradicts another or lies outside its range.
    case invalidConfiguration
    /// A tensor that is absent, or has another shape or type than the graph asks for.
    case invalidTensor
    /// The budget does not hold what the model needs at least.
    case outOfBudget
    /// A token id that the vocabulary does not have.
    case invalidToken
    /// More tokens than the context has room for.
    case contextFull
    /// The arithmetic gave no number: the weights are not those of a working model.
    case notANumber
    /// An earlier evaluation broke off between two layers.
    case incompleteState
    /// The session was told to stop.
    case cancelled
  }

  /// What kind of error it is.
  public let code: Code
  /// What was expected, what was found, and what to do next.
  public let message: String

  init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// The message.
  public var description: String { message }
}
