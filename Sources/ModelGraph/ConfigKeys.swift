internal import GGUF

/// Typed access to the keys of one architecture.
struct ConfigKeys {
  let metadata: GGUFMetadata
  let prefix: String
  let path: String

  func full(_ key: String) -> String { "\(prefix).\(key)" }

  func has(_ key: String) -> Bool { metadata[full(key)] != nil }

  /// A number of things, from 1 to `limit`.
  func count(_ key: String, atMost limit: Int) throws -> Int {
    try nonzero(key, try metadata.count(full(key), atMost: limit), limit)
  }

  /// A number of things, or nil when the key is absent. 0 passes where it means none.
  func optionalCount(_ key: String, atMost limit: Int) throws -> Int? {
    guard let count = try metadata.optionalCount(full(key), atMost: limit) else { return nil }
    return key == "nextn_predict_layers" ? count : try nonzero(key, count, limit)
  }

  /// A finite number above 0 and below `bound`.
  func positive(_ key: String, below bound: Double) throws -> Double {
    let value = try metadata.float(full(key))
    guard value > 0, value < bound else {
      throw invalid(key, expected: "a number above 0 and below \(bound)", found: "\(value)")
    }
    return value
  }

  func invalid(_ key: String, expected: String, found: String) -> ModelGraphError {
    ModelGraphError(
      .invalidConfiguration, "\(path): \(full(key)): expected \(expected), found \(found)")
  }

  private func nonzero(_ key: String, _ count: Int, _ limit: Int) throws -> Int {
    guard count > 0 else { throw invalid(key, expected: "1 to \(limit)", found: "0") }
    return count
  }
}
