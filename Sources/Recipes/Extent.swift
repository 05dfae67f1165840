/// A size that follows from a shape, and the words that messages call it by.
///
/// `Extent("attention.head_count") * Extent("attention.key_length")` is what a family writes for the
/// columns of its output projection. Ranges of the shape's keys keep every product of a few within
/// 63 bits.
struct Extent: Sendable {
  /// The size in terms of the shape's keys: `attention.head_count * attention.key_length`.
  let text: String
  /// The size for a shape.
  let value: @Sendable (ModelShape) -> Int

  /// The value of a key, 0 where an optional one is absent.
  init(_ key: String) {
    self.init(text: key) { $0.count(key) ?? 0 }
  }

  private init(text: String, value: @escaping @Sendable (ModelShape) -> Int) {
    self.text = text
    self.value = value
  }

  private static func combine(
    _ a: Extent, _ sign: String, _ b: Extent, _ body: @escaping @Sendable (Int, Int) -> Int
  ) -> Extent {
    Extent(text: "\(a.text) \(sign) \(b.text)") { body(a.value($0), b.value($0)) }
  }

  static func * (a: Extent, b: Extent) -> Extent { combine(a, "*", b, *) }
  static func + (a: Extent, b: Extent) -> Extent { combine(a, "+", b, +) }
  static func - (a: Extent, b: Extent) -> Extent { combine(a, "-", b, -) }
  /// Whole; a rule of the family says that nothing is left over.
  static func / (a: Extent, b: Extent) -> Extent { combine(a, "/", b) { $0 / max($1, 1) } }
}

extension Extent: ExpressibleByIntegerLiteral {
  init(integerLiteral value: Int) {
    self.init(text: "\(value)") { _ in value }
  }
}

extension Extent {
  static let hidden = Extent("embedding_length")
  static let vocabulary = Extent("vocabulary_size")
  static let heads = Extent("attention.head_count")
  static let keyValueHeads = Extent("attention.head_count_kv")
  static let headLength = Extent("attention.key_length")
  static let experts = Extent("expert_count")
  static let expertInner = Extent("expert_feed_forward_length")
  static let sharedInner = Extent("expert_shared_feed_forward_length")
  static let inner = Extent("feed_forward_length")
}
