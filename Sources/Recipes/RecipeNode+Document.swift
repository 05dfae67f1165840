internal import Yams

extension RecipeNode {
  /// Parses the only document of `text`. libyaml bounds the nesting.
  static func document(_ text: String, path: String) throws -> RecipeNode {
    try refuseAliases(text, path: path)
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw RecipeError(error, path: path)
    }
    guard let root else {
      throw RecipeError(
        path: path, line: nil, message: "is empty; expected sections, as recipes/README.md has them"
      )
    }
    return RecipeNode(node: root, path: path, name: "")
  }

  /// Refuses anchors and aliases before anything is built of them: a few lines of aliases of aliases
  /// stand for more values than there is memory. An anchor or alias begins where a word does, so
  /// whatever looks like one is refused, in comments too; in quotes it is text.
  private static func refuseAliases(_ text: String, path: String) throws(RecipeError) {
    let starts = Set(" \t[]{},:-?\r\n".utf8)
    let marks = Set("&*".utf8)
    var line = 1
    var previous = UInt8(ascii: "\n")
    var bytes = text.utf8.makeIterator()
    var next = bytes.next()
    while let byte = next {
      next = bytes.next()
      if marks.contains(byte), starts.contains(previous), let next, next > 0x20 {
        throw RecipeError(
          path: path, line: line,
          message:
            "is not YAML as recipes have it: a word begins with '\(Unicode.Scalar(byte))', as anchors and aliases do; "
            + "expected none, put a text that begins so in quotes")
      }
      if byte == UInt8(ascii: "\n") { line += 1 }
      previous = byte
    }
  }
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
