import AllocationCount
import Testing
import Tokenizers

@Suite struct IncrementalDecoderTests {
  private func decoder(special: [(String, Int32)] = []) throws -> IncrementalDecoder {
    IncrementalDecoder(vocabulary: try makeVocabulary(special: special))
  }

  @Test("a character appears when its last byte does")
  func wholeCharacters() throws {
    var decoder = try decoder()
    #expect(
      "né€😀".utf8.map { decoder.append(Int32($0)) } == [
        "n", "", "é", "", "", "€", "", "", "", "😀",
      ])
    #expect(decoder.finish() == "")
  }

  @Test("a token of few bytes allocates nothing", .enabled(if: ac_is_counting()))
  func allocatesNothing() throws {
    var decoder = try decoder()
    let ids = "né€😀".utf8.map { Int32($0) }
    var length = 0
    for id in ids { length += decoder.append(id).utf8.count }
    let start = ac_thread_count()
    for _ in 0..<10 { for id in ids { length += decoder.append(id).utf8.count } }
    #expect(ac_thread_count() == start)
    #expect(length == 11 * ids.count)
  }

  @Test("bytes that cannot become a character are replaced as soon as that is known")
  func invalid() throws {
    var decoder = try decoder()
    #expect(
      [0xFF, 0xE2, 0x82, 0x41].map { decoder.append($0) } == ["\u{FFFD}", "", "", "\u{FFFD}A"])
    #expect([0xE0, 0x80].map { decoder.append($0) } == ["", "\u{FFFD}\u{FFFD}"])
    #expect([0xF0, 0x9F].map { decoder.append($0) } == ["", ""])
    #expect(decoder.finish() == "\u{FFFD}")
    #expect(decoder.append(0x42) == "B")
  }

  @Test("any cut of any bytes gives the text of all bytes at once")
  func anyBytes() throws {
    var generator = TestGenerator(state: 11)
    let common: [UInt8] = [0x41, 0x80, 0x9F, 0xBF, 0xC3, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0xFF]
    var decoder = try decoder()
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
        common[Int.random(in: 0..<common.count, using: &generator)]
      }
      let pieces = bytes.map { decoder.append(Int32($0)) }.joined() + decoder.finish()
      #expect(Array(pieces.utf8) == Array(String(decoding: bytes, as: UTF8.self).utf8))
    }
  }

  @Test("control and unused tokens have no text, and do not break a character")
  func controlTokens() throws {
    let special: [(String, Int32)] = [("<|im_end|>", 3), ("[PAD]", 5), ("<think>", 4)]
    var hidden = try decoder(special: special)
    #expect([0xC3, 256, 257, 0xA9, 258].map { hidden.append($0) } == ["", "", "", "é", "<think>"])
    var shown = IncrementalDecoder(
      vocabulary: try makeVocabulary(special: special), rendersControlTokens: true)
    #expect([256, 257, 258].map { shown.append($0) } == ["<|im_end|>", "", "<think>"])
  }

  @Test("an id outside the vocabulary is a replacement character")
  func outside() throws {
    var decoder = try decoder()
    #expect(
      [-1, 256, 0xC3, .max].map { decoder.append($0) } == [
        "\u{FFFD}", "\u{FFFD}", "", "\u{FFFD}\u{FFFD}",
      ])
  }
}
