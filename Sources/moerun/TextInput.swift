import CommandSupport
import ExpertPack
import FileIO
import GGUF
import Tokenizers

extension Tokenizer {
  /// The tokenizer that a pack's headers describe.
  convenience init(packAt path: String) throws {
    try self.init(
      vocabulary: try Vocabulary(metadata: try PackDirectory.open(path).source.metadata))
  }
}

/// Texts and token lists that commands take from files.
enum TextInput {
  /// Most bytes of a text: what the tokenizer holds several times over must fit in memory.
  private static let maximumBytes = 1 << 30

  /// All bytes of the file or pipe at `path`; `-` is standard input.
  static func bytes(_ path: String) throws -> [UInt8] {
    try File.contents(path == "-" ? "/dev/stdin" : path, atMost: maximumBytes)
  }
}
