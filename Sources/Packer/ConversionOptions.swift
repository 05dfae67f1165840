/// How a conversion treats what is there.
public struct ConversionOptions: Sendable {
  /// What happens to a pack in the target directory.
  public enum Existing: Sendable {
    /// Refused, finished or not.
    case refuse
    /// An unfinished one is removed and begun anew, a finished one refused.
    case restart
    /// An unfinished one is continued, a finished one left as it is.
    case resume
    /// Removed, finished or not.
    case replace
  }

  /// What happens to a pack in the target directory.
  public var existing: Existing
  /// Whether the bytes of the source are given back to the file system once they are in the pack,
  /// flushed and read back. The source is then no file that anything can read; the pack exports it.
  public var consumesSource: Bool
  /// Bytes of a file that are written between two entries in the journal, where it is longer.
  public var checkpointBytes: Int
  /// Directories below which the volumes of a striped pack are made, slice s in number s mod their number;
  /// none for a pack in one directory, and for going on with any.
  public var stripe: [String]

  /// Without giving back the source a kill costs at most a layer: real ones have 1 to 13 GB.
  public static let usualCheckpointBytes: UInt64 = 4 << 30
  /// What a consuming conversion needs beside the source, less than a layer of the largest models.
  public static let consumingCheckpointBytes: UInt64 = 1 << 30

  /// Options; nil `checkpointBytes` takes those that suit.
  public init(
    existing: Existing = .refuse, consumesSource: Bool = false, checkpointBytes: Int? = nil,
    stripe: [String] = []
  ) {
    self.stripe = stripe
    self.existing = existing
    self.consumesSource = consumesSource
    self.checkpointBytes =
      checkpointBytes
      ?? Int(consumesSource ? Self.consumingCheckpointBytes : Self.usualCheckpointBytes)
  }
}
