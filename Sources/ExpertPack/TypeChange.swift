public import GGUF

/// Where a model comes from whose tensors were given other types, by which rules.
///
/// The header of such a model carries it, as metadata `moepack.requantized.*` of the first shard, and so does
/// a model that is exported from its pack; the manifest repeats it.
public struct TypeChange: Sendable, Hashable, Codable {
  /// A file that the change was made from.
  public struct Origin: Sendable, Hashable, Codable {
    /// File name without directories.
    public let name: String
    /// Length of the file.
    public let bytes: UInt64
    /// XXH3-128 of the file, hexadecimal.
    public let xxh3_128: String

    /// An origin of these.
    public init(name: String, bytes: UInt64, xxh3_128: String) {
      self.name = name
      self.bytes = bytes
      self.xxh3_128 = xxh3_128
    }
  }

  /// The shards of the model as it was.
  public let sources: [Origin]
  /// The rules in their order, `PATTERN=TYPE`; the first that matches a tensor counts.
  public let rules: [String]
  /// The importance matrix, where there was one.
  public let importance_matrix: Origin?

  /// A change with these parts.
  public init(sources: [Origin], rules: [String], importanceMatrix: Origin?) {
    self.sources = sources
    self.rules = rules
    importance_matrix = importanceMatrix
  }

  private static let prefix = "moepack.requantized."
  /// Rules and shards of a header that are believed.
  private static let limit = 65_536

  /// What `metadata` says of a change; nil where it says nothing, or nothing that a writer of this format says.
  public init?(_ metadata: GGUFMetadata) {
    guard let names = try? metadata.strings(Self.prefix + "source.names"),
      let bytes = try? metadata.integers(Self.prefix + "source.bytes"),
      let digests = try? metadata.strings(Self.prefix + "source.xxh3_128"),
      let rules = try? metadata.strings(Self.prefix + "rules"),
      !names.isEmpty, names.count == bytes.count, names.count == digests.count,
      max(names.count, rules.count) <= Self.limit, bytes.allSatisfy({ $0 >= 0 })
    else { return nil }
    var importance: Origin?
    if let name = try? metadata.optionalString(Self.prefix + "importance_matrix.name") {
      guard let count = try? metadata.unsigned(Self.prefix + "importance_matrix.bytes"),
        let digest = try? metadata.string(Self.prefix + "importance_matrix.xxh3_128")
      else { return nil }
      importance = Origin(name: name, bytes: count, xxh3_128: digest)
    }
    self.init(
      sources: names.indices.map {
        Origin(name: names[$0], bytes: UInt64(bytes[$0]), xxh3_128: digests[$0])
      }, rules: rules, importanceMatrix: importance)
  }

  /// Puts the change into the metadata of a first shard, in place of an earlier one.
  public func write(to metadata: inout GGUFMetadata) {
    for key in metadata.keys.filter({ $0.hasPrefix(Self.prefix) }) { metadata.remove(key) }
    func set(_ key: String, _ value: GGUFValue) { metadata.set(value, for: Self.prefix + key) }
    set("source.names", .array(GGUFArray(strings: sources.map(\.name))))
    set("source.bytes", .array(GGUFArray(of: .uint64, sources.map { .uint64($0.bytes) })))
    set("source.xxh3_128", .array(GGUFArray(strings: sources.map(\.xxh3_128))))
    set("rules", .array(GGUFArray(strings: rules)))
    guard let matrix = importance_matrix else { return }
    set("importance_matrix.name", .string(GGUFString(matrix.name)))
    set("importance_matrix.bytes", .uint64(matrix.bytes))
    set("importance_matrix.xxh3_128", .string(GGUFString(matrix.xxh3_128)))
  }

  var json: CanonicalJSON {
    var members: [String: CanonicalJSON] = [
      "sources": .array(sources.map(\.json)), "rules": .array(rules.map { .string($0) }),
    ]
    if let importance_matrix { members["importance_matrix"] = importance_matrix.json }
    return .object(members)
  }
}

extension TypeChange.Origin {
  fileprivate var json: CanonicalJSON {
    .object(["name": .string(name), "bytes": .integer(bytes), "xxh3_128": .string(xxh3_128)])
  }
}
