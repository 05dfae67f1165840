import CommandSupport
import ExpertPack
import FileIO
import GGUF
import ModelGraph
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
  /// Most bytes of a text.
  private static let maximumBytes = 1 << 30
  /// Memory for a byte of text until its tokens are known: 24 bytes for a text that is one word of
  /// 8 MB, 5 for prose.
  private static let bytesPerByte = 32

  /// All bytes of the file or pipe at `path`; `-` is standard input.
  /// - Parameters:
  ///   - path: Where the text is.
  ///   - budget: Bytes that the run may take; nil for no limit.
  /// - Returns: The text as it is.
  /// - Throws: `FileIOError` when it cannot be read, or not within the budget.
  static func bytes(_ path: String, budget: UInt64? = nil) throws -> [UInt8] {
    var limit = maximumBytes
    if let budget {
      limit = min(limit, max(0, Int(clamping: budget) - MemoryPlan.processAllowance) / bytesPerByte)
    }
    do {
      return try File.contents(path == "-" ? "/dev/stdin" : path, atMost: limit)
    } catch {
      guard let budget, error.code == .tooLong, limit < maximumBytes else { throw error }
      throw FileIOError(
        .tooLong, path: path,
        message: "\(ByteSize.text(budget)) of memory allows for \(ByteSize.text(UInt64(limit))) of "
          + "text, found more (\(bytesPerByte) bytes a byte beside "
          + "\(ByteSize.text(UInt64(MemoryPlan.processAllowance))) for the process); give more "
          + "--memory or less text")
    }
  }
}
