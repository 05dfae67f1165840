/// Why a text is not a routing trace.
public struct RoutingTraceError: Error, Sendable, CustomStringConvertible {
  /// Line of the text, from 1; 0 for the text as a whole.
  public let line: Int
  /// Where, what was expected and what was found.
  public let message: String

  init(path: String, line: Int, _ message: String) {
    self.line = line
    self.message = line > 0 ? "\(path): line \(line): \(message)" : "\(path): \(message)"
  }

  /// The message.
  public var description: String { message }
}
