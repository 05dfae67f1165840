/// The name of one file of a split model, `BASE-00002-of-00005.gguf`.
struct ShardName: Equatable {
  /// Everything before the numbers, directories included.
  let base: String
  /// Counted from 1.
  let number: Int
  /// Files of the model.
  let count: Int

  /// Digits of each number in a name.
  private static let width = 5

  init(base: String, number: Int, count: Int) {
    self.base = base
    self.number = number
    self.count = count
  }

  /// Reads a path that ends in `-NNNNN-of-NNNNN.gguf` with numbers from 1; nil for other names.
  init?(path: String) {
    guard path.hasSuffix(".gguf") else { return nil }
    var rest = path.utf8.dropLast(".gguf".utf8.count)
    func takeNumber(after separator: String) -> Int? {
      let digits = rest.suffix(Self.width)
      guard digits.count == Self.width,
        digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
      else { return nil }
      rest = rest.dropLast(Self.width)
      guard rest.suffix(separator.utf8.count).elementsEqual(separator.utf8) else { return nil }
      rest = rest.dropLast(separator.utf8.count)
      return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }
    guard let count = takeNumber(after: "-of-"), let number = takeNumber(after: "-"),
      number >= 1, number <= count, let base = String(rest)
    else { return nil }
    self.init(base: base, number: number, count: count)
  }

  /// The path of shard `number` of the same model.
  func path(number: Int) -> String {
    "\(base)-\(Self.digits(number))-of-\(Self.digits(count)).gguf"
  }

  /// `number` as in a name, five digits or more.
  static func digits(_ number: some BinaryInteger) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, width - text.count)) + text
  }
}
