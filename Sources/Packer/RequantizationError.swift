/// Why types of a model's tensors cannot be changed as asked.
public struct RequantizationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The file, tensor or rule, what was expected and found, and the next step.
  public let message: String

  init(_ message: String) { self.message = message }

  /// The message.
  public var description: String { message }
}
