/// Well-formed UTF-8 sequences (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing
/// past U+10FFFF.
enum UTF8Sequence {
  /// What stands at a position.
  enum Status: Equatable {
    /// A whole character of this many bytes.
    case complete(Int)
    /// The bytes to the end begin a character and more are needed.
    case incomplete
    case invalid
  }

  /// Classifies the bytes at `position`, which is before the end of `bytes`.
  static func status(of bytes: Span<UInt8>, at position: Int) -> Status {
    let lead = bytes[position]
    if lead < 0x80 { return .complete(1) }
    let length: Int
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch lead {
    case 0xC2...0xDF: length = 2
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: length = 3
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    case 0xF1...0xF3: length = 4
    default: return .invalid
    }
    for index in 1..<length {
      guard position + index < bytes.count else { return .incomplete }
      let allowed = index == 1 ? second : 0x80...0xBF
      guard allowed.contains(bytes[position + index]) else { return .invalid }
    }
    return .complete(length)
  }

  /// Offset of the first byte that is not part of a well-formed character, or nil. O(bytes).
  static func firstInvalidOffset(in bytes: Span<UInt8>) -> Int? {
    var position = 0
    while position < bytes.count {
      guard case .complete(let length) = status(of: bytes, at: position) else { return position }
      position += length
    }
    return nil
  }

  /// Length of the unfinished character that ends `bytes`, 0 when there is none.
  static func incompleteSuffixLength(of bytes: Span<UInt8>) -> Int {
    for length in 1...3 where length <= bytes.count {
      let position = bytes.count - length
      // A continuation byte belongs to a character that starts further left.
      if bytes[position] & 0xC0 == 0x80 { continue }
      return status(of: bytes, at: position) == .incomplete ? length : 0
    }
    return 0
  }
}
