/// A set of pages as ranges: ascending, apart from each other.
struct PageRanges: Equatable, Sendable {
  private(set) var ranges: [Range<UInt64>] = []

  init() {}

  /// The set of the pages before `end`.
  init(upTo end: UInt64) { insert(0..<end) }

  /// The set of these ranges; nil unless they are ascending, not empty and apart from each other.
  init?(ranges: [Range<UInt64>]) {
    for (index, range) in ranges.enumerated() {
      guard !range.isEmpty, index == 0 || ranges[index - 1].upperBound < range.lowerBound else {
        return nil
      }
    }
    self.ranges = ranges
  }

  /// Where the first range ends if the set has page 0; 0 otherwise.
  var prefix: UInt64 {
    guard let first = ranges.first, first.lowerBound == 0 else { return 0 }
    return first.upperBound
  }

  /// The parts of `range` that the set does not have, ascending.
  func missing(in range: Range<UInt64>) -> [Range<UInt64>] {
    var result: [Range<UInt64>] = []
    var position = range.lowerBound
    for known in ranges[firstIndex(endingAfter: range.lowerBound)...] {
      guard position < range.upperBound, known.lowerBound < range.upperBound else { break }
      if known.lowerBound > position { result.append(position..<known.lowerBound) }
      position = max(position, known.upperBound)
    }
    if position < range.upperBound { result.append(position..<range.upperBound) }
    return result
  }

  /// Adds `range`.
  mutating func insert(_ range: Range<UInt64>) {
    guard !range.isEmpty else { return }
    var merged = range
    let first = firstIndex(endingAtOrAfter: range.lowerBound)
    var last = first
    while last < ranges.count, ranges[last].lowerBound <= range.upperBound {
      merged =
        min(
          merged.lowerBound, ranges[last].lowerBound)..<max(
          merged.upperBound, ranges[last].upperBound)
      last += 1
    }
    ranges.replaceSubrange(first..<last, with: [merged])
  }

  private func firstIndex(endingAfter position: UInt64) -> Int {
    ranges.partitioningIndex { $0.upperBound > position }
  }
  private func firstIndex(endingAtOrAfter position: UInt64) -> Int {
    ranges.partitioningIndex { $0.upperBound >= position }
  }
}

extension Array {
  /// The first index whose element satisfies `predicate`, which from there on all do; O(log n).
  fileprivate func partitioningIndex(where predicate: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if predicate(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
