/// The tokens that stand for their literal text and are cut out before anything else.
///
/// The longest token wins, wherever it stands; among equals the leftmost. (llama.cpp's
/// `tokenizer_st_partition`, which searches the text for one token after the other, longest first.)
struct SpecialTokens: Sendable {
  /// A piece of a text.
  enum Piece: Equatable {
    /// Text between special tokens, as a range of bytes.
    case text(Range<Int>)
    case token(Int32)
  }

  private struct Entry: Sendable {
    let id: Int32
    let bytes: [UInt8]
    /// Whether it is cut out even when special tokens are not to be parsed.
    let isAlwaysParsed: Bool
  }

  /// Where a token was found.
  private struct Occurrence {
    let entry: Int
    let range: Range<Int>
  }

  /// Longest first.
  private let entries: [Entry]
  /// Indexes of `entries` by first byte, longest first. [256]
  private let byFirstByte: [[Int]]

  /// The special tokens of a vocabulary: control, unknown and user-defined ones.
  init(_ vocabulary: Vocabulary) {
    let ids = (0..<Int32(vocabulary.tokenCount)).filter {
      vocabulary.kind(of: $0).isLiteral && !vocabulary.bytes(of: $0).isEmpty
    }
    entries = ids.map { id in
      Entry(
        id: id, bytes: Array(vocabulary.bytes(of: id)),
        isAlwaysParsed: vocabulary.kind(of: id) == .userDefined)
    }.sorted { ($1.bytes.count, $0.id) < ($0.bytes.count, $1.id) }
    var table = [[Int]](repeating: [], count: 256)
    for (index, entry) in entries.enumerated() { table[Int(entry.bytes[0])].append(index) }
    byFirstByte = table
  }

  /// Cuts `text` at special tokens: at all of them, or at user-defined ones alone.
  /// O(bytes) for tokens that the text does not resemble.
  func split(_ text: Span<UInt8>, parseSpecial: Bool) -> [Piece] {
    let found = occurrences(in: text, parseSpecial: parseSpecial)
    guard !found.isEmpty else { return text.isEmpty ? [] : [.text(0..<text.count)] }
    var pieces: [Piece] = []
    var end = 0
    for occurrence in disjoint(found, length: text.count) {
      if occurrence.range.lowerBound > end {
        pieces.append(.text(end..<occurrence.range.lowerBound))
      }
      pieces.append(.token(entries[occurrence.entry].id))
      end = occurrence.range.upperBound
    }
    if end < text.count { pieces.append(.text(end..<text.count)) }
    return pieces
  }

  /// Every occurrence, overlapping ones included, in order of position.
  private func occurrences(in text: Span<UInt8>, parseSpecial: Bool) -> [Occurrence] {
    guard !entries.isEmpty else { return [] }
    var result: [Occurrence] = []
    for position in text.indices {
      for index in byFirstByte[Int(text[position])] {
        let entry = entries[index]
        guard parseSpecial || entry.isAlwaysParsed,
          Self.matches(entry.bytes, text, at: position)
        else { continue }
        result.append(
          Occurrence(entry: index, range: position..<position + entry.bytes.count))
      }
    }
    return result
  }

  private static func matches(_ token: [UInt8], _ text: Span<UInt8>, at position: Int) -> Bool {
    guard token.count <= text.count - position else { return false }
    for index in token.indices where token[index] != text[position + index] { return false }
    return true
  }

  /// Drops what overlaps a longer token, or an equal one further left.
  private func disjoint(_ found: [Occurrence], length: Int) -> [Occurrence] {
    let byPreference = found.sorted {
      ($0.entry, $0.range.lowerBound) < ($1.entry, $1.range.lowerBound)
    }
    // What is taken already is at least as long, so it covers an end of whatever it overlaps.
    var isTaken = [Bool](repeating: false, count: length)
    let kept = byPreference.filter { occurrence in
      guard !isTaken[occurrence.range.lowerBound], !isTaken[occurrence.range.upperBound - 1] else {
        return false
      }
      for position in occurrence.range { isTaken[position] = true }
      return true
    }
    return kept.sorted { $0.range.lowerBound < $1.range.lowerBound }
  }
}
