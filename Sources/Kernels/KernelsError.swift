/// Why no instruction set could be chosen.
public struct KernelsError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What a caller may decide on.
  public enum Code: Sendable {
    /// The name asked for is none that this program knows.
    case unknownInstructionSet
    /// The name is known, but this CPU or this build cannot run it.
    case unavailableInstructionSet
  }

  /// What went wrong.
  public let code: Code
  /// What was asked for, what is there, and what to do.
  public let message: String

  /// An error with its full message.
  public init(_ code: Code, message: String) {
    self.code = code
    self.message = message
  }

  /// The message.
  public var description: String { message }
}
