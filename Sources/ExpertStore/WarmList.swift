/// Experts that are to be read before anybody asks for them, hottest first, and how far that is.
struct WarmList {
  /// Experts read ahead at once: two, so that the disk has the next one at hand when one is done.
  /// More would only stand in the way of a read that somebody waits for.
  static let limit = 2

  /// Dense expert numbers.
  private var keys: [Int32] = []
  private var next = 0
  /// Experts that are being read.
  private(set) var inFlight = 0
  /// Whether no more reads may be submitted.
  var isClosed = false

  /// What has not been read yet, hottest first.
  var rest: ArraySlice<Int32> { keys[next...] }

  /// Puts `keys` behind what is left.
  mutating func append(_ keys: [Int32]) {
    self.keys = self.keys[next...] + keys
    next = 0
  }

  /// The expert to read next, nil when there is none or enough are being read.
  mutating func takeNext() -> Int? {
    guard !isClosed, inFlight < Self.limit, next < keys.count else { return nil }
    next += 1
    return Int(keys[next - 1])
  }

  /// Notes that the expert taken last is being read.
  mutating func begin() { inFlight += 1 }

  /// Notes that all reads of an expert have ended.
  mutating func end() { inFlight -= 1 }
}
