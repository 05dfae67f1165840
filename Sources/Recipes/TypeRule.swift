public import Tensors

/// What type the tensors of a name get.
public struct TypeRule: Sendable, Hashable {
  /// A tensor's name, where `*` stands for any text: `blk.*.ffn_down_exps.weight`. Without a dot it is
  /// the part of the name that says what the tensor is: `ffn_down_exps`, `attn_*`.
  public let pattern: String
  /// ggml type.
  public let type: TensorType

  /// A rule of these.
  public init(pattern: String, type: TensorType) {
    self.pattern = pattern
    self.type = type
  }

  /// Reads `PATTERN=TYPE`, the type in capitals or not; nil for other text and for types that ggml does
  /// not have.
  public init?(_ text: String) {
    let parts = text.split(separator: "=", omittingEmptySubsequences: false)
    guard parts.count == 2, (1...128).contains(parts[0].utf8.count),
      let type = TensorType(name: String(parts[1]))
    else { return nil }
    self.init(pattern: String(parts[0]), type: type)
  }

  /// The rule as ``init(_:)`` reads it.
  public var text: String { "\(pattern)=\(type.name)" }

  /// Whether the rule is for the tensor `name`.
  public func matches(_ name: String) -> Bool {
    if pattern.utf8.contains(UInt8(ascii: ".")) { return Self.glob(pattern, name) }
    return Self.glob(pattern, Self.role(ofTensor: name))
  }

  /// What the tensor `name` is: without the block's number and without `.weight`.
  public static func role(ofTensor name: String) -> String {
    var parts = name.split(separator: ".", omittingEmptySubsequences: false)[...]
    if parts.count > 2, parts.first == "blk" { parts = parts.dropFirst(2) }
    if parts.count > 1, parts.last == "weight" { parts = parts.dropLast() }
    return parts.joined(separator: ".")
  }

  /// Whether `pattern`, with `*` for any text, is all of `text`. Time: length of one times the other.
  private static func glob(_ pattern: String, _ text: String) -> Bool {
    let (pattern, text) = (Array(pattern.utf8), Array(text.utf8))
    var (at, position) = (0, 0)
    // Where to go on when a character does not fit: after the last star, a byte later in the text.
    var resume: (pattern: Int, text: Int)?
    while position < text.count {
      if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
        resume = (at + 1, position)
        at += 1
      } else if at < pattern.count, pattern[at] == text[position] {
        at += 1
        position += 1
      } else if let last = resume {
        resume = (last.pattern, last.text + 1)
        (at, position) = (last.pattern, last.text + 1)
      } else {
        return false
      }
    }
    return pattern[at...].allSatisfy { $0 == UInt8(ascii: "*") }
  }
}
