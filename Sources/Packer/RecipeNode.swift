internal import Yams

/// A value of a recipe with its place: every reader checks type and range, and what it throws names
/// file, line and key.
struct RecipeNode {
  private let node: Node
  private let path: String
  /// The keys that lead here: `shape.attention.head_count`.
  let name: String

  private init(node: Node, path: String, name: String) {
    self.node = node
    self.path = path
    self.name = name
  }

  /// Parses the only document of `text`. libyaml bounds the nesting.
  static func document(_ text: String, path: String) throws -> RecipeNode {
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw RecipeError(error, path: path)
    }
    guard let root else {
      throw RecipeError(path: path, line: nil, message: "is empty; expected a section 'shape'")
    }
    return RecipeNode(node: root, path: path, name: "")
  }

  /// An error at this value.
  func error(_ message: String) -> RecipeError {
    RecipeError(
      path: path, line: node.mark?.line, message: name.isEmpty ? message : "\(name): \(message)")
  }

  /// The values of a mapping that has exactly these keys.
  func mapping(_ keys: [String]) throws(RecipeError) -> Fields {
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
      values[scalar.string] = RecipeNode(
        node: value, path: path, name: name.isEmpty ? scalar.string : "\(name).\(scalar.string)")
    }
    if let missing = keys.first(where: { values[$0] == nil }) {
      throw error("expected a key '\(missing)', found none")
    }
    return Fields(values: values)
  }

  /// The values of a mapping whose keys were checked.
  struct Fields {
    fileprivate let values: [String: RecipeNode]

    /// The value of `key`. Traps for a key that was not asked for.
    subscript(key: String) -> RecipeNode {
      guard let value = values[key] else { preconditionFailure("key \(key) was not checked") }
      return value
    }
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

  /// A list of exactly `count` whole numbers in `range`.
  func integers(count: Int, _ range: ClosedRange<Int>) throws(RecipeError) -> [Int] {
    guard case .sequence(let sequence) = node, sequence.count == count else {
      throw error("expected a list of \(count) whole numbers, found \(found)")
    }
    var result: [Int] = []
    for (index, element) in sequence.enumerated() {
      result.append(
        try RecipeNode(node: element, path: path, name: "\(name)[\(index)]").integer(range))
    }
    return result
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

extension RecipeError {
  /// What the YAML parser found.
  fileprivate init(_ error: YamlError, path: String) {
    let (line, problem): (Int?, String) =
      switch error {
      case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
        .composer(_, let problem, let mark, _):
        (mark.line, "is not YAML: \(problem)")
      case .duplicatedKeysInMapping(let keys, let context):
        (context.mark.line, "keys that stand twice: \(keys.joined(separator: ", ").prefix(200))")
      default: (nil, "is not YAML: \("\(error)".prefix(200))")
      }
    self.init(path: path, line: line, message: problem)
  }
}
