import GGUF
import Testing
import Tokenizers

@Suite struct GoldenTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let vocabulary: String
    let preTokenizer: String
    let bosID: Int32?
    var testDescription: String { "\(vocabulary) \(preTokenizer)" }
  }

  static let cases = [
    Case(vocabulary: "tiny", preTokenizer: "qwen35", bosID: nil),
    Case(vocabulary: "small", preTokenizer: "qwen35", bosID: nil),
    Case(vocabulary: "small", preTokenizer: "qwen2", bosID: nil),
    Case(vocabulary: "small", preTokenizer: "glm4", bosID: nil),
    Case(vocabulary: "small", preTokenizer: "gpt-4o", bosID: nil),
    Case(vocabulary: "small", preTokenizer: "olmo", bosID: nil),
    Case(vocabulary: "small", preTokenizer: "llama-bpe", bosID: 2035),
    Case(vocabulary: "small", preTokenizer: "deepseek-v3", bosID: 2035),
  ]

  @Test("every text has the reference's ids", arguments: cases)
  func ids(_ example: Case) throws {
    let tokenizer = try tokenizer(example)
    let expected = try Fixture.expectedIDs(example.vocabulary, example.preTokenizer)
    #expect(expected.count == 6)
    for (name, ids) in expected {
      #expect(try tokenizer.encode(Fixture.text("prompts/\(name).txt")) == ids, "\(name)")
    }
  }

  @Test("ids give the text back", arguments: cases)
  func roundTrip(_ example: Case) throws {
    let tokenizer = try tokenizer(example)
    for (name, ids) in try Fixture.expectedIDs(example.vocabulary, example.preTokenizer) {
      var decoder = IncrementalDecoder(
        vocabulary: tokenizer.vocabulary, rendersControlTokens: true)
      let text = ids.map { $0 == example.bosID ? "" : decoder.append($0) }.joined()
      #expect(try text + decoder.finish() == Fixture.text("prompts/\(name).txt"), "\(name)")
    }
  }

  @Test("without special tokens parsed, markup is ordinary text that decodes to itself")
  func plain() throws {
    let tokenizer = try Tokenizer(
      vocabulary: Fixture.vocabulary("small", preTokenizer: "qwen35"))
    let text = try Fixture.text("prompts/chat1.txt")
    let ids = try tokenizer.encode(text, parseSpecial: false)
    #expect(!ids.contains { tokenizer.vocabulary.isControl($0) })
    #expect(tokenizer.decode(ids) == text)
    // User-defined tokens are parsed all the same.
    #expect(try tokenizer.encode("a<think>", parseSpecial: false).last == 2037)
  }

  @Test("a checkpoint's own vocabulary gives the reference's ids")
  func checkpoint() throws {
    let file = try GGUFFile.open(Fixture.path("../tiny-qwen35moe-seedmix.gguf"))
    let vocabulary = try Vocabulary(metadata: file.metadata)
    #expect(vocabulary.tokenCount == 8192)
    #expect(vocabulary.endOfGenerationIDs == [8189, 8191])
    let tokenizer = try Tokenizer(vocabulary: vocabulary)
    for (name, ids) in try Fixture.expectedIDs("tiny", "qwen35") {
      #expect(try tokenizer.encode(Fixture.text("prompts/\(name).txt")) == ids, "\(name)")
    }
  }

  private func tokenizer(_ example: Case) throws -> Tokenizer {
    try Tokenizer(
      vocabulary: Fixture.vocabulary(
        example.vocabulary, preTokenizer: example.preTokenizer, bosID: example.bosID))
  }
}
