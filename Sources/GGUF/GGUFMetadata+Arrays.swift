/// Arrays by key and element type; errors as for single values. All copy: O(bytes of the array).
extension GGUFMetadata {
  /// The strings at `key`, ill-formed UTF-8 replaced by U+FFFD.
  public func strings(_ key: String) throws(GGUFError) -> [String] {
    try required(key, try optionalStrings(key), "an array of strings")
  }

  /// The strings at `key`, or nil when the key is absent.
  public func optionalStrings(_ key: String) throws(GGUFError) -> [String]? {
    try optionalByteStrings(key)?.map(\.description)
  }

  /// The strings at `key`, byte for byte.
  public func byteStrings(_ key: String) throws(GGUFError) -> [GGUFString] {
    try required(key, try optionalByteStrings(key), "an array of strings")
  }

  /// The strings at `key`, byte for byte, or nil when the key is absent.
  public func optionalByteStrings(_ key: String) throws(GGUFError) -> [GGUFString]? {
    let expected = "an array of strings"
    return try elements(key, expected, accepts: { $0 == .string }) { element in
      guard case .string(let string) = element else { return nil }
      return string
    }
  }

  /// The integers at `key`, of any integer type.
  public func integers(_ key: String) throws(GGUFError) -> [Int64] {
    try required(key, try optionalIntegers(key), "an array of integers")
  }

  /// The integers at `key`, or nil when the key is absent.
  public func optionalIntegers(_ key: String) throws(GGUFError) -> [Int64]? {
    let expected = "an array of integers up to \(Int64.max)"
    return try elements(key, expected, accepts: \.isInteger) { $0.integer(as: Int64.self) }
  }

  /// The floating-point numbers at `key`, of either width.
  public func floats(_ key: String) throws(GGUFError) -> [Double] {
    try required(key, try optionalFloats(key), "an array of floating-point numbers")
  }

  /// The floating-point numbers at `key`, or nil when the key is absent.
  public func optionalFloats(_ key: String) throws(GGUFError) -> [Double]? {
    let expected = "an array of floating-point numbers"
    return try elements(
      key, expected, accepts: { $0 == .float32 || $0 == .float64 }, convert: \.floatingPoint)
  }

  /// The Booleans at `key`.
  public func bools(_ key: String) throws(GGUFError) -> [Bool] {
    try required(key, try optionalBools(key), "an array of bools")
  }

  /// The Booleans at `key`, or nil when the key is absent.
  public func optionalBools(_ key: String) throws(GGUFError) -> [Bool]? {
    try elements(key, "an array of bools", accepts: { $0 == .bool }) { element in
      guard case .bool(let bool) = element else { return nil }
      return bool
    }
  }

  private func elements<T>(
    _ key: String, _ expected: String, accepts: (GGUFValueType) -> Bool,
    convert: (GGUFValue) -> T?
  ) throws(GGUFError) -> [T]? {
    guard let value = self[key] else { return nil }
    guard case .array(let array) = value, accepts(array.elementType) else {
      throw mismatch(key, expected, value)
    }
    var result: [T] = []
    result.reserveCapacity(array.count)
    for (index, element) in array.enumerated() {
      guard let converted = convert(element) else {
        throw error(.invalidValue, key, expected, "\(element) at index \(index)")
      }
      result.append(converted)
    }
    return result
  }
}
