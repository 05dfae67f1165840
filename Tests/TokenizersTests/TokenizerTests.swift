import Testing
import Tokenizers

@Suite struct TokenizerTests {
  @Test("an empty text has no tokens but BOS")
  func empty() throws {
    let plain = try Tokenizer(vocabulary: makeVocabulary())
    #expect(try plain.encode("") == [])
    let vocabulary = try Fixture.vocabulary("small", preTokenizer: "llama-bpe", bosID: 2035)
    let tokenizer = try Tokenizer(vocabulary: vocabulary)
    #expect(try tokenizer.encode("") == [2035])
    #expect(try tokenizer.encode("", addBOS: false) == [])
  }

  @Test("BOS that the vocabulary does not have is an error")
  func missingBOS() throws {
    let tokenizer = try Tokenizer(vocabulary: makeVocabulary())
    let error = #expect(throws: TokenizerError.self) { try tokenizer.encode("a", addBOS: true) }
    #expect(error?.code == .invalidVocabulary)
  }

  @Test(
    "a text that is not UTF-8 is refused at its first bad byte",
    arguments: [
      ([0x61, 0xFF], 1), ([0x80], 0), ([0x61, 0xC3], 1), ([0xC3, 0x28], 0),
      ([0xC0, 0x80], 0), ([0xE0, 0x9F, 0xBF], 0), ([0xED, 0xA0, 0x80], 0),
      ([0xF0, 0x8F, 0xBF, 0xBF], 0), ([0xF4, 0x90, 0x80, 0x80], 0), ([0xF5, 0x80, 0x80, 0x80], 0),
      ([0xC3, 0xA9, 0xE2, 0x82], 2),
    ] as [([UInt8], Int)])
  func invalidUTF8(_ bytes: [UInt8], offset: Int) throws {
    let tokenizer = try Tokenizer(vocabulary: makeVocabulary())
    let error = #expect(throws: TokenizerError.self) { try tokenizer.encode(bytes: bytes) }
    #expect(error?.code == .invalidUTF8)
    #expect(error?.message.contains("at offset \(offset) ") == true)
  }

  @Test("the first and last characters of every length of UTF-8 are text")
  func validUTF8() throws {
    let tokenizer = try Tokenizer(vocabulary: makeVocabulary())
    let text = "\u{0}\u{7F}\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}"
    #expect(try tokenizer.decode(tokenizer.encode(text)) == text)
  }

  @Test("a byte without a token is an error that names it")
  func missingByte() throws {
    let vocabulary = try Vocabulary(
      tokens: ["a", "b", "ab"], types: nil, merges: ["a b"], preTokenizer: "qwen2")
    let tokenizer = try Tokenizer(vocabulary: vocabulary)
    #expect(try tokenizer.encode("abba") == [2, 1, 0])
    let error = #expect(throws: TokenizerError.self) { try tokenizer.encode("ab z") }
    #expect(error?.code == .missingByteToken)
    #expect(error?.message.contains("0x20 (at byte 2 of the text)") == true)
  }

  @Test("a word that is a token is taken whole where the pre-tokenizer says so")
  func wholeWords() throws {
    // Nothing merges to "abc", so only a whole word can be it.
    let tokens = byteTokens + ["ab", "abc"]
    for (name, expected) in [("glm4", [257, 256, 256]), ("qwen2", [256, 99, 256, 256])] {
      let vocabulary = try Vocabulary(
        tokens: tokens, types: nil, merges: ["a b"], preTokenizer: name)
      let ids = try Tokenizer(vocabulary: vocabulary).encode(
        "abc!abab".split(separator: "!").joined(separator: "\n"))
      #expect(ids.filter { $0 != 10 } == expected.map { Int32($0) }, "\(name)")
    }
  }

  @Test("a word of many thousand bytes takes no quadratic time", .timeLimit(.minutes(1)))
  func longWord() throws {
    let tokenizer = try Tokenizer(
      vocabulary: Fixture.vocabulary("tiny", preTokenizer: "qwen35"))
    var generator = TestGenerator(state: 7)
    let word = String(
      decoding: (0..<30_000).map { _ in UInt8.random(in: 97...122, using: &generator) },
      as: UTF8.self)
    let runs = ["a", " ", "\n", "!", "\u{301}", "7", "\u{0}"].map {
      String(repeating: $0, count: 10_000)
    }
    for text in [word] + runs { #expect(try tokenizer.decode(tokenizer.encode(text)) == text) }
  }

  @Test("words merge as by searching the lowest rank from the left again and again")
  func mergeOrder() throws {
    var generator = TestGenerator(state: 42)
    for _ in 0..<40 {
      let merges = randomMerges(&generator)
      let tokenizer = try Tokenizer(vocabulary: makeVocabulary(merges: merges))
      for _ in 0..<20 {
        let length = Int.random(in: 1...40, using: &generator)
        let word = (0..<length).map { _ in randomLetter(&generator) }
        let ids = try tokenizer.encode(word.joined())
        #expect(ids.map { tokenizer.vocabulary.text(of: $0) } == naiveMerge(word, merges))
      }
    }
  }

  /// Rules over the letters a to c, each about what earlier rules make.
  private func randomMerges(_ generator: inout TestGenerator) -> [String] {
    var parts = ["a", "b", "c"]
    var merges: [String] = []
    for _ in 0..<12 {
      let left = parts[Int.random(in: 0..<parts.count, using: &generator)]
      let right = parts[Int.random(in: 0..<parts.count, using: &generator)]
      guard !parts.contains(left + right) else { continue }
      merges.append("\(left) \(right)")
      parts.append(left + right)
    }
    return merges.shuffled(using: &generator)
  }

  private func randomLetter(_ generator: inout TestGenerator) -> String {
    ["a", "b", "c"][Int.random(in: 0..<3, using: &generator)]
  }

  private func naiveMerge(_ word: [String], _ merges: [String]) -> [String] {
    var parts = word
    while true {
      var best: (rank: Int, index: Int)?
      for index in 0..<max(parts.count - 1, 0) {
        guard let rank = merges.firstIndex(of: "\(parts[index]) \(parts[index + 1])") else {
          continue
        }
        if best.map({ rank < $0.rank }) ?? true { best = (rank, index) }
      }
      guard let best else { return parts }
      parts[best.index] += parts.remove(at: best.index + 1)
    }
  }
}
