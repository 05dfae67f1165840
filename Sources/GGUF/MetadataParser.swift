/// Reads and checks the metadata section of a header.
struct MetadataParser {
  private var keyByteCount = 0
  private var alignment = GGUFHeader.defaultAlignment
  private var metadata: GGUFMetadata

  /// Takes `count` entries.
  /// - Returns: The metadata, and the alignment that they give.
  static func parse(
    _ reader: inout HeaderReader, count: Int
  ) throws -> (metadata: GGUFMetadata, alignment: UInt32) {
    var parser = MetadataParser(metadata: GGUFMetadata(path: reader.path))
    for index in 0..<count { try parser.entry(&reader, index: index) }
    return (parser.metadata, parser.alignment)
  }

  private mutating func entry(_ reader: inout HeaderReader, index: Int) throws {
    var field = HeaderField(section: .metadataKey, index: index)
    let start = reader.offset
    let key = try reader.text(limit: GGUFLimits.keyByteCount, field)
    keyByteCount += key.utf8.count
    field.name = key
    guard keyByteCount <= GGUFLimits.keyByteCountTotal else {
      throw reader.failure(
        .limitExceeded, at: start, field,
        expected: "at most \(GGUFLimits.keyByteCountTotal) bytes of keys", found: "more")
    }
    guard metadata[key] == nil else {
      throw reader.failure(
        .duplicateName, at: start, field, expected: "every key once", found: "it again")
    }
    let type = try valueType(&reader, field("type"))
    let valueStart = reader.offset
    try check(&reader, type, depth: 0, field)
    var position = valueStart
    guard let value = GGUFValue(type, in: reader.storage, at: &position) else {
      throw reader.failure(
        .invalidValue, at: valueStart, field, expected: "a value of type \(type)", found: "none")
    }
    if key == "general.alignment" {
      guard let bytes = value.alignment else {
        throw reader.failure(
          .invalidAlignment, at: valueStart, field, expected: GGUFValue.alignmentRule,
          found: "\(value)")
      }
      alignment = bytes
    }
    metadata.set(value, for: key)
  }

  private func valueType(
    _ reader: inout HeaderReader, _ field: HeaderField
  ) throws -> GGUFValueType {
    let start = reader.offset
    let id = try reader.integer(UInt32.self, field)
    guard let type = GGUFValueType(rawValue: id) else {
      throw reader.failure(
        .unknownValueType, at: start, field, expected: "a type from 0 to 12", found: "\(id)")
    }
    return type
  }

  /// Moves the reader past a value of `type` and proves that it can be decoded.
  private func check(
    _ reader: inout HeaderReader, _ type: GGUFValueType, depth: Int, _ field: HeaderField
  ) throws {
    switch type {
    case .bool:
      let range = try reader.take(1, field("value"))
      try checkBools(reader, range, field("value"))
    case .string:
      _ = try reader.string(limit: GGUFLimits.stringByteCount, field("value"))
    case .array:
      try checkArray(&reader, depth: depth + 1, field)
    default:
      _ = try reader.take(UInt64(type.byteCount ?? 0), field("value"))
    }
  }

  private func checkArray(
    _ reader: inout HeaderReader, depth: Int, _ field: HeaderField
  ) throws {
    guard depth <= GGUFLimits.arrayDepth else {
      throw reader.failure(
        .limitExceeded, at: reader.offset, field("nesting"),
        expected: "at most \(GGUFLimits.arrayDepth) arrays within each other", found: "more")
    }
    let type = try valueType(&reader, field("element type"))
    let count = try elementCount(&reader, type, field("element count"))
    if let width = type.byteCount {
      let range = try reader.take(UInt64(count * width), field("elements"))
      if type == .bool { try checkBools(reader, range, field("elements")) }
      return
    }
    var index = 0
    while index < count {
      if type == .string {
        index += reader.loadedStrings(count - index, limit: GGUFLimits.stringByteCount)
        if index == count { break }
      }
      try check(&reader, type, depth: depth, field("", element: index))
      index += 1
    }
  }

  private func elementCount(
    _ reader: inout HeaderReader, _ type: GGUFValueType, _ field: HeaderField
  ) throws -> Int {
    let start = reader.offset
    let claimed = try reader.integer(UInt64.self, field)
    guard claimed <= UInt64(GGUFLimits.arrayCount) else {
      throw reader.failure(
        .limitExceeded, at: start, field, expected: "at most \(GGUFLimits.arrayCount)",
        found: "\(claimed)")
    }
    let possible = reader.remaining / type.minimumByteCount
    guard claimed <= UInt64(possible) else {
      throw reader.failure(
        .truncated, at: start, field,
        expected: "at most \(possible) x \(type) in the \(reader.remaining) bytes left",
        found: "\(claimed)", advice: "the file is cut short or the count is damaged")
    }
    return Int(claimed)
  }

  private func checkBools(
    _ reader: HeaderReader, _ range: Range<Int>, _ field: HeaderField
  ) throws {
    for offset in range {
      let byte = reader.storage.load(UInt8.self, at: offset) ?? 0
      guard byte <= 1 else {
        throw reader.failure(
          .invalidValue, at: offset, field, expected: "a bool of 0 or 1", found: "\(byte)")
      }
    }
  }
}

extension GGUFValue {
  /// The value as that of `general.alignment`, or nil when it is not one.
  var alignment: UInt32? {
    guard case .uint32(let bytes) = self, bytes.nonzeroBitCount == 1, bytes <= GGUFLimits.alignment
    else { return nil }
    return bytes
  }

  /// What ``alignment`` accepts.
  static let alignmentRule = "a uint32 power of two from 1 to \(GGUFLimits.alignment)"
}
