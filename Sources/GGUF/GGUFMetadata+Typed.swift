/// Values by key and type. Each throws `.missingKey` when the key is absent (the `optional` ones
/// return nil), `.wrongType` when its value has another type, `.invalidValue` when the number does
/// not fit.
extension GGUFMetadata {
  /// The string at `key`, ill-formed UTF-8 replaced by U+FFFD.
  public func string(_ key: String) throws(GGUFError) -> String {
    try required(key, try optionalString(key), "a string")
  }

  /// The string at `key`, or nil when the key is absent.
  public func optionalString(_ key: String) throws(GGUFError) -> String? {
    guard let value = self[key] else { return nil }
    guard case .string(let string) = value else { throw mismatch(key, "a string", value) }
    return string.description
  }

  /// The integer at `key`, of any integer type, not negative.
  public func unsigned(_ key: String) throws(GGUFError) -> UInt64 {
    try required(key, try optionalUnsigned(key), "an integer")
  }

  /// The integer at `key`, not negative, or nil when the key is absent.
  public func optionalUnsigned(_ key: String) throws(GGUFError) -> UInt64? {
    try optionalInteger(key, as: UInt64.self, expected: "an integer from 0")
  }

  /// The integer at `key`, of any integer type.
  public func integer(_ key: String) throws(GGUFError) -> Int64 {
    try required(key, try optionalInteger(key), "an integer")
  }

  /// The integer at `key`, or nil when the key is absent.
  public func optionalInteger(_ key: String) throws(GGUFError) -> Int64? {
    try optionalInteger(key, as: Int64.self, expected: "an integer up to \(Int64.max)")
  }

  /// The integer at `key` as a number of things, from 0 to `limit`: layers, experts, heads. Where
  /// the number sizes a table, the limit is what keeps a hostile file from sizing it.
  public func count(_ key: String, atMost limit: Int) throws(GGUFError) -> Int {
    try required(key, try optionalCount(key, atMost: limit), "an integer")
  }

  /// The number of things at `key`, from 0 to `limit`, or nil when the key is absent.
  public func optionalCount(_ key: String, atMost limit: Int) throws(GGUFError) -> Int? {
    let expected = "an integer from 0 to \(limit)"
    guard let count = try optionalInteger(key, as: Int.self, expected: expected) else {
      return nil
    }
    guard count >= 0, count <= limit else {
      throw error(.invalidValue, key, expected, "\(count)")
    }
    return count
  }

  /// The floating-point number at `key`, of either width.
  public func float(_ key: String) throws(GGUFError) -> Double {
    try required(key, try optionalFloat(key), "a floating-point number")
  }

  /// The floating-point number at `key`, or nil when the key is absent.
  public func optionalFloat(_ key: String) throws(GGUFError) -> Double? {
    guard let value = self[key] else { return nil }
    guard let number = value.floatingPoint else {
      throw mismatch(key, "a floating-point number", value)
    }
    return number
  }

  /// The Boolean at `key`.
  public func bool(_ key: String) throws(GGUFError) -> Bool {
    try required(key, try optionalBool(key), "a bool")
  }

  /// The Boolean at `key`, or nil when the key is absent.
  public func optionalBool(_ key: String) throws(GGUFError) -> Bool? {
    guard let value = self[key] else { return nil }
    guard case .bool(let bool) = value else { throw mismatch(key, "a bool", value) }
    return bool
  }

  private func optionalInteger<T: FixedWidthInteger>(
    _ key: String, as type: T.Type, expected: String
  ) throws(GGUFError) -> T? {
    guard let value = self[key] else { return nil }
    guard value.type.isInteger else { throw mismatch(key, expected, value) }
    guard let integer = value.integer(as: T.self) else {
      throw error(.invalidValue, key, expected, "\(value)")
    }
    return integer
  }

  func required<T>(
    _ key: String, _ value: T?, _ expected: String
  ) throws(GGUFError) -> T {
    guard let value else { throw error(.missingKey, key, expected, "no such key") }
    return value
  }

  func mismatch(_ key: String, _ expected: String, _ value: GGUFValue) -> GGUFError {
    error(.wrongType, key, expected, "\(value)")
  }

  func error(
    _ code: GGUFError.Code, _ key: String, _ expected: String, _ found: String
  ) -> GGUFError {
    GGUFError(
      code, path: path, field: "metadata key \(key.quotedForMessage)", expected: expected,
      found: found)
  }
}
