/// One damaged place of a pack, or one difference from a source.
public struct PackFinding: Sendable, Hashable, Encodable {
  /// What is wrong with the place.
  public enum Kind: String, Sendable, Encodable {
    /// The file is not there.
    case missing
    /// The file ends before this place.
    case truncated
    /// The file goes on after its end.
    case extended
    /// The checksum of these bytes does not agree.
    case damaged
    /// The system cannot read these bytes.
    case unreadable
    /// The bytes contradict the format.
    case invalid
    /// The pack was never finished.
    case unfinished
    /// The bytes differ from those of the file compared with.
    case differs
  }

  /// File of the pack, or the source's path.
  public let file: String
  /// Block number, where the place lies in expert data.
  public let layer: Int?
  /// Number of the expert, where the place lies in expert data.
  public let expert: Int?
  /// Number of the extent that was read and checked, where the place lies in expert data.
  public let slice: Int?
  /// Where the damaged bytes start in the file.
  public let offset: UInt64
  /// Damaged bytes; 0 when the finding concerns no range.
  public let length: UInt64
  /// What is wrong with the place.
  public let kind: Kind
  /// One line for people: expected and found.
  public let detail: String

  /// Whether only the checksum of the whole file says that something is wrong.
  let coversFile: Bool

  init(
    _ kind: Kind, file: String, layer: Int? = nil, expert: Int? = nil, slice: Int? = nil,
    offset: UInt64 = 0, length: UInt64 = 0, coversFile: Bool = false, detail: String
  ) {
    self.kind = kind
    self.file = file
    self.layer = layer
    self.expert = expert
    self.slice = slice
    self.offset = offset
    self.length = length
    self.coversFile = coversFile
    self.detail = detail
  }

  private enum CodingKeys: CodingKey {
    case file, layer, expert, slice, offset, length, kind, detail
  }

  /// The place and what is wrong with it, on one line.
  public var description: String {
    var place = file
    if let layer { place += ": layer \(layer)" }
    if let expert { place += ", expert \(expert)" }
    if let slice { place += ", slice \(slice)" }
    let range = length > 0 ? " (bytes \(offset)..<\(offset + length))" : ""
    return "\(place): \(detail)\(range)"
  }
}
