internal import Tensors
internal import Yams

/// A value of a recipe with its place: every reader checks type and range, and what it throws names
/// file, line and key.
struct RecipeNode {
  private let node: Node
  private let path: String
  /// The keys that lead here: `shape.attention.head_count`.
  let name: String

  init(node: Node, path: String, name: String) {
    self.node = node
    self.path = path
    self.name = name
  }

  /// An error at this value.
  func error(_ message: String) -> RecipeError {
    RecipeError(
      path: path, line: node.mark?.line, message: name.isEmpty ? message : "\(name): \(message)")
  }

  private func child(_ node: Node, _ key: String) -> RecipeNode {
    RecipeNode(node: node, path: path, name: name.isEmpty ? key : "\(name).\(key)")
  }

  /// The values of a mapping of these keys, all of which have to be there but for the `optional`.
  func mapping(_ keys: [String], optional: [String] = []) throws(RecipeError) -> Fields {
    guard case .mapping(let mapping) = node else {
      throw error("expected a mapping, found \(found)")
    }
    var values: [String: RecipeNode] = [:]
    for (key, value) in mapping {
      guard case .scalar(let scalar) = key, keys.contains(scalar.string) else {
        let text = key.scalar.map { "'\($0.string.prefix(64))'" } ?? "a key that is no word"
        throw RecipeError(
          path: path, line: key.mark?.line,
          message: "\(name.isEmpty ? "" : name + ": ")unknown key \(text); expected "
            + keys.joined(separator: ", "))
      }
      values[scalar.string] = child(value, scalar.string)
    }
    if let missing = keys.first(where: { values[$0] == nil && !optional.contains($0) }) {
      throw error("expected a key '\(missing)', found none")
    }
    return Fields(values: values)
  }

  /// The value of one key of a mapping, whatever else it has.
  func value(of key: String) throws(RecipeError) -> RecipeNode {
    guard case .mapping(let mapping) = node else {
      throw error("expected a mapping, found \(found)")
    }
    for (name, value) in mapping {
      if case .scalar(let scalar) = name, scalar.string == key { return child(value, key) }
    }
    throw error("expected a key '\(key)', found none")
  }

  /// The values of a mapping with keys of the recipe's own, in the order of the file.
  func entries(atMost limit: Int) throws(RecipeError) -> [(key: String, value: RecipeNode)] {
    guard case .mapping(let mapping) = node, (1...limit).contains(mapping.count) else {
      throw error("expected a mapping of 1 to \(limit) entries, found \(found)")
    }
    var result: [(key: String, value: RecipeNode)] = []
    for (key, value) in mapping {
      guard case .scalar(let scalar) = key else {
        throw RecipeError(
          path: path, line: key.mark?.line,
          message: "\(name): expected a word as key, found something else")
      }
      result.append((scalar.string, child(value, "\(scalar.string.prefix(64))")))
    }
    return result
  }

  /// The values of a mapping whose keys were checked.
  struct Fields {
    fileprivate let values: [String: RecipeNode]

    /// The value of `key`. Traps for a key that was not asked for.
    subscript(key: String) -> RecipeNode {
      guard let value = values[key] else { preconditionFailure("key \(key) was not checked") }
      return value
    }

    /// The value of `key`, nil where an optional one is absent.
    func optional(_ key: String) -> RecipeNode? { values[key] }
  }

  /// A text of 1 to `limit` bytes without control characters.
  func text(atMost limit: Int = 1024) throws(RecipeError) -> String {
    guard case .scalar(let scalar) = node else {
      throw error("expected a text, found \(found)")
    }
    guard (1...limit).contains(scalar.string.utf8.count),
      scalar.string.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 })
    else { throw error("expected 1 to \(limit) printable bytes, found \(found)") }
    return scalar.string
  }

  /// One of `words`.
  func word(among words: [String]) throws(RecipeError) -> String {
    guard case .scalar(let scalar) = node, words.contains(scalar.string) else {
      throw error("expected \(words.joined(separator: ", ")); found \(found)")
    }
    return scalar.string
  }

  /// `true` or `false`.
  func flag() throws(RecipeError) -> Bool { try word(among: ["true", "false"]) == "true" }

  /// A ggml type, one of `types`.
  func type(among types: [TensorType]) throws(RecipeError) -> TensorType {
    let name = try text()
    guard let type = TensorType(name: name), types.contains(type) else {
      throw error(
        "expected \(types.map(\.name).joined(separator: ", ")); found '\(name.prefix(64))'")
    }
    return type
  }

  /// A whole number in `range`.
  func integer(_ range: ClosedRange<Int>) throws(RecipeError) -> Int {
    guard case .scalar(let scalar) = node, let value = Int(scalar.string), range.contains(value)
    else {
      throw error(
        "expected a whole number from \(range.lowerBound) to \(range.upperBound), found \(found)")
    }
    return value
  }

  /// A number above 0 and up to `limit`.
  func positive(upTo limit: Double) throws(RecipeError) -> Double {
    guard case .scalar(let scalar) = node, let value = Double(scalar.string), value > 0,
      value <= limit
    else { throw error("expected a number above 0 and up to \(limit), found \(found)") }
    return value
  }

  /// A number in `range`.
  func number(_ range: ClosedRange<Double>) throws(RecipeError) -> Double {
    guard case .scalar(let scalar) = node, let value = Double(scalar.string), range.contains(value)
    else {
      throw error(
        "expected a number from \(range.lowerBound) to \(range.upperBound), found \(found)")
    }
    return value
  }

  /// The elements of a list of 1 to `limit`.
  func elements(atMost limit: Int) throws(RecipeError) -> [RecipeNode] {
    guard case .sequence(let sequence) = node, (1...limit).contains(sequence.count) else {
      throw error("expected a list of 1 to \(limit), found \(found)")
    }
    return sequence.enumerated().map { index, element in
      RecipeNode(node: element, path: path, name: "\(name)[\(index)]")
    }
  }

  /// Whether it is a list.
  var isList: Bool { node.sequence != nil }

  /// A list of exactly `count` whole numbers in `range`.
  func integers(count: Int, _ range: ClosedRange<Int>) throws(RecipeError) -> [Int] {
    guard case .sequence(let sequence) = node, sequence.count == count else {
      throw error("expected a list of \(count) whole numbers, found \(found)")
    }
    var result: [Int] = []
    for element in try elements(atMost: count) { result.append(try element.integer(range)) }
    return result
  }

  /// What stands here, for messages about a value that was read: the number itself, or a list's sum.
  var foundValue: String {
    switch node {
    case .scalar(let scalar): "\(scalar.string.prefix(64))"
    case .sequence(let sequence):
      "\(sequence.compactMap { $0.scalar.flatMap { Int($0.string) } }.reduce(0, +))"
    default: found
    }
  }

  private var found: String {
    switch node {
    case .scalar(let scalar):
      scalar.string.isEmpty
        ? "nothing" : "'\(scalar.string.prefix(64).map { $0.isNewline ? " " : $0 }.asText)'"
    case .mapping(let mapping): "a mapping of \(mapping.count)"
    case .sequence(let sequence): "a list of \(sequence.count)"
    case .alias: "an alias"
    }
  }
}

extension [Character] {
  fileprivate var asText: String { String(self) }
}
