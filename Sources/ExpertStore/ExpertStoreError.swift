/// What kept the expert store from starting or an expert from being served.
public struct ExpertStoreError: Error, Sendable, CustomStringConvertible {
  /// What a caller may decide on.
  public enum Code: Sendable {
    /// The budget holds fewer slots than one token needs.
    case tooFewSlots
    /// The pack describes an expert that the store cannot hold or read.
    case invalidPlacement
    /// A slice's bytes are not the ones the pack was written with.
    case damaged
    /// The system could not deliver the bytes of a slice.
    case unreadable
  }

  /// Where an expert's bytes could not be served.
  public struct Place: Sendable, Equatable {
    /// File the bytes were read from.
    public let file: String
    /// Decoder layer.
    public let layer: Int
    /// Expert within the layer.
    public let expert: Int
    /// Slice of the expert: the index of its read.
    public let slice: Int
    /// Bytes of the file that the slice's checksum covers.
    public let bytes: Range<UInt64>
  }

  /// What kind of error it is.
  public let code: Code
  /// What happened, where, and what to do next.
  public let message: String
  /// Where it happened, for ``Code/damaged`` and ``Code/unreadable``.
  public let place: Place?

  init(_ code: Code, _ message: String, place: Place? = nil) {
    self.code = code
    self.message = message
    self.place = place
  }

  /// The message.
  public var description: String { message }
}
