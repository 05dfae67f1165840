import CommandSupport
import ExpertPack
import FileIO
import GGUF
import Tokenizers

extension Tokenizer {
  /// The tokenizer that a pack's headers describe.
  convenience init(packAt path: String) throws {
    try self.init(vocabulary: try Vocabulary(metadata: try PackDirectory.open(path).source.metadata))
  }
}

/// Texts and token lists that commands take from files.
enum TextInput {
  /// Most bytes of a text: what the tokenizer holds several times over must fit in memory.
  private static let maximumBytes: UInt64 = 1 << 30

  /// All bytes of the file at `path`.
  static func bytes(_ path: String) throws -> [UInt8] {
    let file = try File.reading(path)
    let size = try file.size()
    guard size <= maximumBytes else {
      throw FileIOError(
        .system, path: path, message: "expected at most \(maximumBytes) bytes, found \(size)")
    }
    return try file.bytes(at: 0, count: Int(size))
  }
}
