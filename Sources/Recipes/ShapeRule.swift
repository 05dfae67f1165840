/// What must hold between the keys of a shape.
struct ShapeRule: Sendable {
  /// The key that a message is about.
  let key: String
  /// What was expected instead; nil where the rule holds.
  let expected: @Sendable (ModelShape) -> String?

  private init(_ key: String, _ expected: @escaping @Sendable (ModelShape) -> String?) {
    self.key = key
    self.expected = expected
  }

  /// `name` as a message about `key` calls it: without the levels that they share.
  private static func short(_ name: String, beside key: String) -> String {
    let parent = key.split(separator: ".").dropLast().joined(separator: ".")
    return !parent.isEmpty && name.hasPrefix(parent + ".")
      ? String(name.dropFirst(parent.count + 1)) : name
  }

  private static func pair(
    _ key: String, _ other: String, _ words: String,
    holds: @escaping @Sendable (Int, Int) -> Bool
  ) -> ShapeRule {
    ShapeRule(key) { shape in
      guard let value = shape.count(key), let limit = shape.count(other), !holds(value, limit)
      else { return nil }
      return "\(words) \(short(other, beside: key)), \(limit)"
    }
  }

  static func divides(_ key: String, _ other: String) -> ShapeRule {
    pair(key, other, "a divisor of") { $0 > 0 && $1.isMultiple(of: $0) }
  }
  static func isMultiple(_ key: String, of other: String) -> ShapeRule {
    pair(key, other, "a multiple of") { $1 > 0 && $0.isMultiple(of: $1) }
  }
  static func isAtMost(_ key: String, _ other: String) -> ShapeRule {
    pair(key, other, "at most") { $0 <= $1 }
  }
  static func isBelow(_ key: String, _ other: String) -> ShapeRule {
    pair(key, other, "less than") { $0 < $1 }
  }
  static func isEven(_ key: String, upTo other: String) -> ShapeRule {
    pair(key, other, "an even number up to") { $0.isMultiple(of: 2) && $0 <= $1 }
  }

  /// Equal to a product of other keys.
  static func equals(_ key: String, _ extent: Extent) -> ShapeRule {
    ShapeRule(key) { shape in
      let wanted = extent.value(shape)
      guard let value = shape.count(key), value != wanted else { return nil }
      let parent = key.split(separator: ".").dropLast().joined(separator: ".") + "."
      return "\(extent.text.replacing(parent, with: "")), \(wanted)"
    }
  }

  /// Counts of pairs that make up half of `other`.
  static func areHalves(_ key: String, of other: String) -> ShapeRule {
    ShapeRule(key) { shape in
      guard case .counts(let pairs) = shape[key], let whole = shape.count(other),
        pairs.reduce(0, +) * 2 != whole
      else { return nil }
      return "pairs that add up to \(whole / 2), half of \(short(other, beside: key))"
    }
  }

  /// A value above 1 of `key` asks for experts in equal groups.
  static let common: [ShapeRule] = [
    .divides("attention.head_count_kv", "attention.head_count"),
    .isAtMost("expert_used_count", "expert_count"),
    .isBelow("leading_dense_block_count", "block_count"),
    .isBelow("nextn_predict_layers", "block_count"),
    .divides("expert_group_count", "expert_count"),
    .isAtMost("expert_group_used_count", "expert_group_count"),
  ]
}
