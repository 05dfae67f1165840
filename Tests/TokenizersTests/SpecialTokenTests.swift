import Testing
import Tokenizers

@Suite struct SpecialTokenTests {
  @Test(
    "the longest token wins, then the leftmost",
    arguments: [
      ("<a>x<ab>", ["<a>", "x", "<ab>"]),
      ("aab", ["aab"]),
      ("aaab", ["a", "aab"]),
      ("aaa", ["aa", "a"]),
      ("xyaa<", ["xy", "aa", "<"]),
    ] as [(String, [String])])
  func order(_ text: String, expected: [String]) throws {
    let special = ["aa", "aab", "xy", "<a>", "<ab>"].map { ($0, Int32(3)) }
    let tokenizer = try Tokenizer(vocabulary: makeVocabulary(special: special))
    #expect(try tokenizer.encode(text).map { tokenizer.vocabulary.text(of: $0) } == expected)
  }

  @Test("random overlapping tokens are cut as by searching for one after the other")
  func random() throws {
    var generator = TestGenerator(state: 3)
    for _ in 0..<60 {
      var names: Set<String> = []
      for _ in 0..<6 {
        names.insert(randomText(&generator, 2...4))
      }
      let special = names.sorted().map { ($0, Int32(4)) }
      let tokenizer = try Tokenizer(vocabulary: makeVocabulary(special: special))
      for _ in 0..<20 {
        let text = randomText(&generator, 0...30)
        let ids = try tokenizer.encode(text, parseSpecial: false)
        // Among equally long tokens the lower id goes first.
        let order = names.sorted().enumerated().sorted {
          ($1.element.utf8.count, $0.offset) < ($0.element.utf8.count, $1.offset)
        }.map(\.element)
        #expect(ids.map { tokenizer.vocabulary.text(of: $0) } == naiveCut(text, order))
      }
    }
  }

  @Test("empty special tokens are never found")
  func emptyToken() throws {
    let tokenizer = try Tokenizer(vocabulary: makeVocabulary(special: [("", 3), ("", 4)]))
    #expect(try tokenizer.encode("ab") == [97, 98])
  }

  private func randomText(_ generator: inout TestGenerator, _ length: ClosedRange<Int>) -> String {
    (0..<Int.random(in: length, using: &generator)).map { _ in
      Bool.random(using: &generator) ? "a" : "b"
    }.joined()
  }

  /// Cuts one token after the other out of whatever is still text.
  private func naiveCut(_ text: String, _ order: [String]) -> [String] {
    var pieces: [(text: String, isToken: Bool)] = [(text, false)]
    for token in order {
      pieces = pieces.flatMap { piece -> [(text: String, isToken: Bool)] in
        guard !piece.isToken else { return [piece] }
        var rest = piece.text[...]
        var result: [(text: String, isToken: Bool)] = []
        var head = ""
        while !rest.isEmpty {
          if rest.hasPrefix(token) {
            result += [(head, false), (token, true)]
            head = ""
            rest = rest.dropFirst(token.count)
          } else {
            head.append(rest.removeFirst())
          }
        }
        return result + [(head, false)]
      }
    }
    return pieces.flatMap { $0.isToken ? [$0.text] : $0.text.map { String($0) } }
  }
}
