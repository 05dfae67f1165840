/// JSON whose bytes follow from its value alone: sorted keys, fixed white space, integers only.
///
/// Foundation's encoder may change its spacing or escaping between versions and systems; packs must
/// not. Objects and arrays of scalars stand on one line, other containers one element a line.
enum CanonicalJSON {
  case string(String)
  case integer(UInt64)
  case array([CanonicalJSON])
  case object([String: CanonicalJSON])

  /// The text, with a line feed at the end.
  var text: String {
    var out = ""
    write(to: &out, indent: 0)
    out += "\n"
    return out
  }

  private var isScalar: Bool {
    switch self {
    case .string, .integer: true
    case .array, .object: false
    }
  }

  private func write(to out: inout String, indent: Int) {
    switch self {
    case .string(let value): Self.quote(value, to: &out)
    case .integer(let value): out += String(value)
    case .array(let values):
      Self.container("[", "]", values.map { ("", $0) }, to: &out, indent: indent)
    case .object(let members):
      let sorted = members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      Self.container("{", "}", sorted.map { ($0.key, $0.value) }, to: &out, indent: indent)
    }
  }

  private static func container(
    _ open: String, _ close: String, _ members: [(String, CanonicalJSON)], to out: inout String,
    indent: Int
  ) {
    let flat = members.allSatisfy { $0.1.isScalar || $0.1.isScalarArray }
    let separator = flat ? ", " : ",\n" + String(repeating: " ", count: indent + 1)
    out += open
    if !flat { out += "\n" + String(repeating: " ", count: indent + 1) }
    for (position, (key, value)) in members.enumerated() {
      if position > 0 { out += separator }
      if open == "{" {
        quote(key, to: &out)
        out += ": "
      }
      value.write(to: &out, indent: indent + 1)
    }
    if !flat { out += "\n" + String(repeating: " ", count: indent) }
    out += close
  }

  private var isScalarArray: Bool {
    if case .array(let values) = self { return values.allSatisfy(\.isScalar) }
    return false
  }

  private static func quote(_ value: String, to out: inout String) {
    out += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    out += "\""
  }
}
