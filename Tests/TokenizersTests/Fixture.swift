import FileIO
import Tokenizers

/// Vocabularies, texts and ids in `fixtures/tokenizer`; the README there says where they are from.
enum Fixture {
  private static let directory: String = {
    let components = #filePath.split(separator: "/").dropLast(3)
    return "/" + components.joined(separator: "/") + "/fixtures/tokenizer/"
  }()

  static func path(_ name: String) -> String { directory + name }

  static func bytes(_ name: String) throws -> [UInt8] {
    let file = try File.reading(path(name))
    return try file.bytes(at: 0, count: Int(file.size()))
  }

  static func text(_ name: String) throws -> String {
    String(decoding: try bytes(name), as: UTF8.self)
  }

  /// Lines end with a line feed alone: tokens contain other line separators.
  static func lines(_ name: String) throws -> [String] {
    try bytes(name).split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
  }

  static func vocabulary(
    _ name: String, preTokenizer: String, bosID: Int32? = nil
  ) throws -> Vocabulary {
    let tokens = try lines("\(name).tokens.txt")
    var types = [Int32](repeating: 1, count: tokens.count)
    for line in try lines("\(name).types.txt") {
      let fields = line.split(separator: " ").compactMap { Int32($0) }
      types[Int(fields[0])] = fields[1]
    }
    return try Vocabulary(
      tokens: tokens, types: types, merges: lines("\(name).merges.txt"),
      preTokenizer: preTokenizer, bosID: bosID, eosID: name == "tiny" ? 8191 : 2034,
      addsBOS: bosID != nil)
  }

  /// The expected ids of every text under a vocabulary and a pre-tokenizer.
  static func expectedIDs(_ vocabulary: String, _ preTokenizer: String) throws -> [(
    name: String, ids: [Int32]
  )] {
    try lines("\(vocabulary).\(preTokenizer).ids.txt").map { line in
      let fields = line.split(separator: " ")
      return (String(fields[0]), fields.dropFirst().compactMap { Int32($0) })
    }
  }
}

/// A vocabulary of all single bytes, the tokens that `merges` make, and `special` ones with their
/// types.
func makeVocabulary(
  merges: [String] = [], special: [(String, Int32)] = [], preTokenizer: String = "qwen35"
) throws -> Vocabulary {
  let words = merges.map { $0.split(separator: " ").joined() }
  return try Vocabulary(
    tokens: byteTokens + words + special.map(\.0),
    types: [Int32](repeating: 1, count: 256 + words.count) + special.map(\.1),
    merges: merges, preTokenizer: preTokenizer)
}

/// The byte-level form of all bytes, 0 to 255.
let byteTokens: [String] = {
  var next: UInt32 = 0x100
  return (0..<256).map { byte in
    switch byte {
    case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return String(UnicodeScalar(UInt8(byte)))
    default:
      defer { next += 1 }
      return UnicodeScalar(next).map { String($0) } ?? ""
    }
  }
}()

/// SplitMix64 (Steele, Lea, Flood 2014), for the same random cases in every run.
struct TestGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
