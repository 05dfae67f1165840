/// A metadata value.
public enum GGUFValue: Sendable, Equatable {
  case uint8(UInt8)
  case int8(Int8)
  case uint16(UInt16)
  case int16(Int16)
  case uint32(UInt32)
  case int32(Int32)
  case float32(Float)
  case bool(Bool)
  case string(GGUFString)
  case array(GGUFArray)
  case uint64(UInt64)
  case int64(Int64)
  case float64(Double)

  /// The type that is stored with the value.
  public var type: GGUFValueType {
    switch self {
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .uint32: .uint32
    case .int32: .int32
    case .float32: .float32
    case .bool: .bool
    case .string: .string
    case .array: .array
    case .uint64: .uint64
    case .int64: .int64
    case .float64: .float64
    }
  }

  /// The value of any of the eight integer types as `T`; nil for other types and when it does not fit.
  public func integer<T: FixedWidthInteger>(as type: T.Type) -> T? {
    switch self {
    case .uint8(let value): T(exactly: value)
    case .int8(let value): T(exactly: value)
    case .uint16(let value): T(exactly: value)
    case .int16(let value): T(exactly: value)
    case .uint32(let value): T(exactly: value)
    case .int32(let value): T(exactly: value)
    case .uint64(let value): T(exactly: value)
    case .int64(let value): T(exactly: value)
    case .float32, .float64, .bool, .string, .array: nil
    }
  }

  /// The value of either floating-point type; nil for other types.
  public var floatingPoint: Double? {
    switch self {
    case .float32(let value): Double(value)
    case .float64(let value): value
    default: nil
    }
  }
}

extension GGUFValue: CustomStringConvertible {
  /// The type and, for scalars, the value: `int32 -1`, `string`, `array of 3 x uint8`.
  public var description: String {
    switch self {
    case .uint8(let value): "uint8 \(value)"
    case .int8(let value): "int8 \(value)"
    case .uint16(let value): "uint16 \(value)"
    case .int16(let value): "int16 \(value)"
    case .uint32(let value): "uint32 \(value)"
    case .int32(let value): "int32 \(value)"
    case .float32(let value): "float32 \(value)"
    case .bool(let value): "bool \(value)"
    case .string: "string"
    case .array(let array): "array of \(array.count) x \(array.elementType)"
    case .uint64(let value): "uint64 \(value)"
    case .int64(let value): "int64 \(value)"
    case .float64(let value): "float64 \(value)"
    }
  }
}

// MARK: Encoding

extension GGUFValue {
  /// Decodes the value of `type` at `offset` and moves `offset` past it; nil when the bytes end
  /// inside it or do not encode such a value. The parser has walked a header's values before any is
  /// decoded, so nil never follows from a parsed header.
  init?(_ type: GGUFValueType, in storage: ByteStorage, at offset: inout Int) {
    func scalar<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) -> T? {
      let value = storage.load(T.self, at: offset)
      offset += MemoryLayout<T>.size
      return value
    }
    let decoded: GGUFValue? =
      switch type {
      case .uint8: scalar(UInt8.self).map { .uint8($0) }
      case .int8: scalar(Int8.self).map { .int8($0) }
      case .uint16: scalar(UInt16.self).map { .uint16($0) }
      case .int16: scalar(Int16.self).map { .int16($0) }
      case .uint32: scalar(UInt32.self).map { .uint32($0) }
      case .int32: scalar(Int32.self).map { .int32($0) }
      case .float32: scalar(UInt32.self).map { .float32(Float(bitPattern: $0)) }
      case .bool: scalar(UInt8.self).map { .bool($0 != 0) }
      case .string:
        storage.stringRange(at: &offset).map {
          .string(GGUFString(storage: storage, range: $0))
        }
      case .array: GGUFArray(in: storage, at: &offset).map { .array($0) }
      case .uint64: scalar(UInt64.self).map { .uint64($0) }
      case .int64: scalar(Int64.self).map { .int64($0) }
      case .float64: scalar(UInt64.self).map { .float64(Double(bitPattern: $0)) }
      }
    guard let decoded else { return nil }
    self = decoded
  }

  /// Appends the value in GGUF encoding, without its type.
  func encode(to bytes: inout [UInt8]) {
    switch self {
    case .uint8(let value): bytes.appendLittleEndian(value)
    case .int8(let value): bytes.appendLittleEndian(value)
    case .uint16(let value): bytes.appendLittleEndian(value)
    case .int16(let value): bytes.appendLittleEndian(value)
    case .uint32(let value): bytes.appendLittleEndian(value)
    case .int32(let value): bytes.appendLittleEndian(value)
    case .float32(let value): bytes.appendLittleEndian(value.bitPattern)
    case .bool(let value): bytes.append(value ? 1 : 0)
    case .string(let value):
      bytes.appendLittleEndian(UInt64(value.byteCount))
      unsafe value.bytes.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
    case .array(let value): value.encode(to: &bytes)
    case .uint64(let value): bytes.appendLittleEndian(value)
    case .int64(let value): bytes.appendLittleEndian(value)
    case .float64(let value): bytes.appendLittleEndian(value.bitPattern)
    }
  }
}

extension ByteStorage {
  /// The bytes of the string whose length is at `offset`; moves `offset` past them.
  func stringRange(at offset: inout Int) -> Range<Int>? {
    guard let length = load(UInt64.self, at: offset) else { return nil }
    let start = offset + 8
    guard length <= UInt64(count - start) else { return nil }
    offset = start + Int(length)
    return start..<offset
  }
}

extension [UInt8] {
  /// Appends `value`, least significant byte first.
  package mutating func appendLittleEndian<T: FixedWidthInteger>(_ value: T) {
    for shift in stride(from: 0, to: T.bitWidth, by: 8) {
      append(UInt8(truncatingIfNeeded: value >> T(truncatingIfNeeded: shift)))
    }
  }

  /// Appends the UTF-8 of `text` with its length before it.
  package mutating func appendString(_ text: String) {
    appendLittleEndian(UInt64(text.utf8.count))
    append(contentsOf: text.utf8)
  }
}
