/// The reversible map between bytes and visible characters of GPT-2's byte-level vocabularies.
///
/// Printable Latin-1 bytes stand for themselves; the 68 others (controls, space, 0x7F-0xA0, 0xAD)
/// are given U+0100, U+0101, ... in order. (`bytes_to_unicode` in OpenAI's gpt-2/src/encoder.py.)
enum ByteLevelAlphabet {
  /// The byte of each character up to U+0143, -1 where there is none.
  private static let byteOfScalar: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x144)
    var next = 0x100
    for byte in 0..<256 {
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: table[byte] = Int16(byte)
      default:
        table[next] = Int16(byte)
        next += 1
      }
    }
    return table
  }()

  /// Appends the bytes that `text` stands for.
  /// - Returns: False, with nothing appended, when a character is not of the alphabet.
  static func decode(_ text: String, into bytes: inout [UInt8]) -> Bool {
    let start = bytes.count
    for scalar in text.unicodeScalars {
      let value = Int(scalar.value)
      guard value < byteOfScalar.count, byteOfScalar[value] >= 0 else {
        bytes.removeSubrange(start...)
        return false
      }
      bytes.append(UInt8(byteOfScalar[value]))
    }
    return true
  }
}
