/// Why a synthetic checkpoint cannot be made as asked.
public struct SynthesisError: Error, Sendable, CustomStringConvertible {
  /// What was expected, what was found, and the next step if there is one.
  public let message: String

  /// The message.
  public var description: String { message }

  init(_ message: String) { self.message = message }
}
