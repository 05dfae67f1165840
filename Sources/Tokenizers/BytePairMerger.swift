/// Byte-pair encoding of one word at a time, in O(n log n) for a word of n bytes.
///
/// Always merges the pair of lowest rank, the leftmost among equals. Holds the working memory, so
/// one merger serves all words of a text.
struct BytePairMerger: ~Copyable {
  private let merges: MergeTable
  // One entry a byte of the word; position p stays the position of the token that starts there.
  private var ids: [Int32] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  /// Rank of joining the token at a position with the one after it, -1 when no rule does.
  private var ranks: [Int32] = []
  /// Candidate merges, rank << 32 | position, smallest first. An entry is out of date when `ranks`
  /// no longer says the same of its position.
  private var queue = MinimumHeap()

  /// A merger with the given rules.
  init(merges: MergeTable) {
    self.merges = merges
  }

  /// Appends the tokens of `text[word]` to `output`. The word is at most `Int32.max` bytes long.
  ///
  /// Throws `.missingByteToken` when a byte of the word has no token.
  mutating func append(
    _ word: Range<Int>, of text: Span<UInt8>, to output: inout [Int32]
  ) throws(TokenizerError) {
    let count = word.count
    ids.removeAll(keepingCapacity: true)
    for offset in word {
      let id = merges.byteIDs[Int(text[offset])]
      guard id >= 0 else {
        let hex = String(text[offset], radix: 16, uppercase: true)
        throw TokenizerError(
          .missingByteToken,
          "the vocabulary has no token for byte 0x\(hex) (at byte \(offset) of the text)")
      }
      ids.append(id)
    }
    if count == 1 {
      output.append(ids[0])
      return
    }
    start(count)
    while let entry = queue.removeMinimum() {
      let position = Int(entry & 0xFFFF_FFFF)
      let rank = Int32(truncatingIfNeeded: entry >> 32)
      if ranks[position] == rank { merge(at: position, rank) }
    }
    var position = 0
    while position < count {
      output.append(ids[position])
      position = Int(next[position])
    }
  }

  /// Links the bytes of a word of `count` and queues every pair that a rule joins.
  private mutating func start(_ count: Int) {
    next.removeAll(keepingCapacity: true)
    previous.removeAll(keepingCapacity: true)
    ranks.removeAll(keepingCapacity: true)
    for position in 0..<Int32(count) {
      next.append(position + 1)
      previous.append(position - 1)
      ranks.append(-1)
    }
    for position in 0..<count - 1 { rate(position) }
  }

  /// Joins the token at `position` with the one after it.
  private mutating func merge(at position: Int, _ rank: Int32) {
    let right = Int(next[position])
    let after = next[right]
    ids[position] = merges.result(rank)
    ranks[right] = -1
    next[position] = after
    if Int(after) < ids.count { previous[Int(after)] = Int32(position) }
    rate(position)
    if previous[position] >= 0 { rate(Int(previous[position])) }
  }

  /// Finds the rule for the pair at `position` and queues it.
  private mutating func rate(_ position: Int) {
    let right = Int(next[position])
    guard right < ids.count, let rank = merges.rank(ids[position], ids[right]) else {
      ranks[position] = -1
      return
    }
    ranks[position] = rank
    queue.insert(UInt64(UInt32(rank)) << 32 | UInt64(position))
  }
}

/// A binary heap of integers, smallest first.
struct MinimumHeap {
  private var values: [UInt64] = []

  /// Adds a value. O(log n)
  mutating func insert(_ value: UInt64) {
    var index = values.count
    values.append(value)
    while index > 0 {
      let parent = (index - 1) / 2
      guard values[parent] > value else { break }
      values[index] = values[parent]
      index = parent
    }
    values[index] = value
  }

  /// Removes the smallest value, nil when there is none. O(log n)
  mutating func removeMinimum() -> UInt64? {
    guard let minimum = values.first, let last = values.popLast() else { return nil }
    guard !values.isEmpty else { return minimum }
    var index = 0
    while true {
      var child = 2 * index + 1
      guard child < values.count else { break }
      if child + 1 < values.count, values[child + 1] < values[child] { child += 1 }
      guard values[child] < last else { break }
      values[index] = values[child]
      index = child
    }
    values[index] = last
    return minimum
  }
}
