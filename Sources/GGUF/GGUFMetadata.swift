/// The metadata of a GGUF file: values by key, in file order.
///
/// Values stay in their encoding and are decoded when asked for; a copy shares them.
public struct GGUFMetadata: Sendable {
  /// A key with its value.
  public struct Entry: Sendable {
    /// Unique in the metadata.
    public let key: String
    /// The value that the key has.
    public fileprivate(set) var value: GGUFValue
  }

  /// The file's name for messages.
  let path: String
  /// All entries, in file order.
  public private(set) var entries: [Entry] = []
  private var positions: [String: Int] = [:]

  /// Metadata without entries.
  /// - Parameter path: What errors about keys name as the file.
  public init(path: String = "metadata") {
    self.path = path
  }

  /// Number of entries.
  public var count: Int { entries.count }

  /// All keys, in file order.
  public var keys: some Collection<String> { entries.lazy.map(\.key) }

  /// The value of `key`, or nil.
  public subscript(key: String) -> GGUFValue? {
    guard let position = positions[key] else { return nil }
    return entries[position].value
  }

  /// Gives `key` the value: in its place when it is there, at the end otherwise.
  public mutating func set(_ value: GGUFValue, for key: String) {
    if let position = positions[key] {
      entries[position].value = value
    } else {
      positions[key] = entries.count
      entries.append(Entry(key: key, value: value))
    }
  }

  /// Removes `key` and its value; nothing when it is absent. O(count).
  public mutating func remove(_ key: String) {
    guard positions[key] != nil else { return }
    entries.removeAll { $0.key == key }
    positions = [:]
    for (position, entry) in entries.enumerated() { positions[entry.key] = position }
  }
}
