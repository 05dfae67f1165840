internal import FileIO
internal import GGUF
internal import Tensors

/// A byte-pair vocabulary as large as the largest in use: tokens and merges by the hundred thousand.
public enum LargeVocabulary {
  /// Tokens.
  public static let size = 248_320
  /// Tokens of a single byte, which come first.
  private static let byteCount = 256

  /// Writes a GGUF that holds the vocabulary and one small tensor.
  public static func write(to path: String) throws {
    var tokens = (0..<byteCount).map { byteName(UInt8($0)) }
    var merges: [String] = []
    var seen = Set(tokens)
    var random = RandomBytes(seed: 248_320)
    while tokens.count < size - 1 {
      // Mostly short words, as real vocabularies have.
      let left = tokens[Int(random.next() % UInt64(tokens.count))]
      let right = tokens[Int(random.next() % UInt64(min(tokens.count, 3000)))]
      let token = left + right
      guard token.utf8.count <= 24, seen.insert(token).inserted else { continue }
      tokens.append(token)
      merges.append(left + " " + right)
    }
    tokens.append("<|endoftext|>")
    var metadata = GGUFMetadata()
    func strings(_ values: [String]) -> GGUFValue {
      .array(GGUFArray(of: .string, values.lazy.map { .string(GGUFString($0)) }))
    }
    metadata.set(.string("qwen35moe"), for: "general.architecture")
    metadata.set(.string("gpt2"), for: "tokenizer.ggml.model")
    metadata.set(.string("qwen35"), for: "tokenizer.ggml.pre")
    metadata.set(strings(tokens), for: "tokenizer.ggml.tokens")
    let types = [Int32](repeating: 1, count: size - 1) + [3]
    metadata.set(.array(GGUFArray(int32: types)), for: "tokenizer.ggml.token_type")
    metadata.set(strings(merges), for: "tokenizer.ggml.merges")
    metadata.set(.uint32(UInt32(size - 1)), for: "tokenizer.ggml.eos_token_id")
    var writer = GGUFWriter(metadata: metadata)
    writer.add("token_embd.weight", type: .f32, dimensions: [1])
    try writer.write(to: try File.creating(path)) { _, emit in
      let bytes = [UInt8](repeating: 0, count: 4)
      try emit(bytes.span.bytes)
    }
  }

  /// The character that stands for `byte` in byte-level vocabularies: itself where it can be seen.
  private static func byteName(_ byte: UInt8) -> String {
    func isVisible(_ byte: UInt8) -> Bool {
      (33...126).contains(byte) || (161...172).contains(byte) || byte >= 174
    }
    let hidden = (0..<byte).filter { !isVisible($0) }.count
    let scalar = isVisible(byte) ? UInt32(byte) : 256 + UInt32(hidden)
    return Unicode.Scalar(scalar).map { String(Character($0)) } ?? ""
  }
}
