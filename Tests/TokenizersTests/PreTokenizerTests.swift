import Testing
import Tokenizers

@Suite struct PreTokenizerTests {
  /// The words that `text` is cut into: with a rule for every growth to the right, those that
  /// start further left first, tokens grow until a word ends.
  private func words(_ text: String, _ name: String) throws -> [String] {
    let letters = text.utf8.map { byteTokens[Int($0)] }
    var merges: [String] = []
    var seen: Set<String> = []
    for start in letters.indices {
      for end in letters.indices.dropFirst(start + 1) {
        let head = letters[start..<end].joined()
        guard seen.insert(head + letters[end]).inserted else { continue }
        merges.append("\(head) \(letters[end])")
      }
    }
    let vocabulary = try makeVocabulary(merges: merges, preTokenizer: name)
    return try Tokenizer(vocabulary: vocabulary).encode(text).map { vocabulary.text(of: $0) }
  }

  @Test(
    "texts are cut as the pattern says",
    arguments: [
      ("qwen35", "I'll don'T", ["I", "'ll", " don", "'T"]),
      ("qwen35", "a  b", ["a", " ", " b"]),
      ("qwen35", "x \n\n y", ["x", " \n\n", " y"]),
      ("qwen35", "12", ["1", "2"]),
      ("qwen35", "?!\n\na", ["?!\n\n", "a"]),
      ("qwen35", "e\u{301}a", ["e\u{301}a"]),
      ("qwen2", "e\u{301}a", ["e", "\u{301}a"]),
      ("qwen35", "\u{180E}a", ["\u{180E}a"]),
      ("qwen35", "'\u{17F}a", ["'\u{17F}a"]),
      ("glm4", "12345", ["123", "45"]),
      ("olmo", "I'LL 12!", ["I", "'", "LL", " 12", "!"]),
      ("gpt-4o", "fooBar's", ["foo", "Bar's"]),
      ("deepseek-v3", "a1234", ["a", "123", "4"]),
    ] as [(String, String, [String])])
  func cuts(_ name: String, text: String, expected: [String]) throws {
    // As bytes: Swift takes a letter and its combining mark for one character.
    #expect(try words(text, name).map { Array($0.utf8) } == expected.map { Array($0.utf8) })
  }

  @Test("an unknown pre-tokenizer is refused with the known names")
  func unknown() throws {
    let error = #expect(throws: TokenizerError.self) {
      try Vocabulary(tokens: ["a"], types: nil, merges: [], preTokenizer: "falcon")
    }
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains("'falcon', expected one of") == true)
    for row in PreTokenizer.all {
      for name in row.names { #expect(error?.message.contains(name) == true) }
    }
  }

  @Test("every row's patterns compile, and every name stands for one row")
  func rows() throws {
    var names: Set<String> = []
    for row in PreTokenizer.all {
      for name in row.names {
        #expect(names.insert(name).inserted)
        #expect(try PreTokenizer.named(name) == row)
        let tokenizer = try Tokenizer(vocabulary: makeVocabulary(preTokenizer: name))
        #expect(
          try tokenizer.decode(tokenizer.encode("Aa 1, \n\u{0}\u{E000}é"))
            == "Aa 1, \n\u{0}\u{E000}é")
      }
    }
  }
}
