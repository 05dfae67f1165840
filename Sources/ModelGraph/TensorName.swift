/// Names of tensors outside the blocks, as GGUF writes them.
enum TensorName {
  static let embedding = "token_embd.weight"
  static let finalNorm = "output_norm.weight"
  static let output = "output.weight"

  static func block(_ layer: Int, _ part: String) -> String { "blk.\(layer).\(part)" }

  /// The block that a tensor belongs to, or nil.
  static func block(of name: String) -> Int? {
    let parts = name.split(separator: ".", maxSplits: 2)
    guard parts.count == 3, parts[0] == "blk" else { return nil }
    return Int(parts[1])
  }
}
