internal import FileIO
internal import GGUF
internal import Quantizers

/// The bytes of one shard of a requantised model: the new header, tensors of the original as they are, and
/// tensors encoded anew when they are read.
struct RequantizedShard: ByteSource {
  private struct Content: Sendable {
    /// Where the tensor lies in the new shard.
    let tensor: GGUFTensor
    /// Where it lies in the original.
    let original: GGUFTensor
    let encoding: TensorEncoding?
  }

  private let path: String
  private let byteCount: UInt64
  private let header: [UInt8]
  private let file: File
  /// By offset, as the writer laid them out.
  private let contents: [Content]

  /// The bytes that `layout` describes, of tensors in the order of those of `original`.
  init(
    original: GGUFShard, layout: GGUFWriter.Layout, importance: ImportanceMatrix?,
    crew: EncodingCrew
  ) throws {
    path = original.path
    byteCount = layout.fileSize
    header = layout.header.bytes.withUnsafeBytes { Array($0) }
    let file = try File.reading(original.path)
    self.file = file
    contents = zip(layout.header.tensors, original.header.tensors).map { tensor, original in
      precondition(tensor.name == original.name)
      return Content(
        tensor: tensor, original: original,
        encoding: tensor.type == original.type
          ? nil
          : TensorEncoding(
            of: original, in: file, to: tensor.type, importance: importance, crew: crew))
    }
  }

  var modified: Int64 { file.modified }

  func readExactly(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    guard offset <= byteCount, UInt64(buffer.count) <= byteCount - offset else {
      throw FileIOError(
        .endOfFile, path: path,
        message: "has \(byteCount) bytes after the change of types, asked for \(buffer.count) at "
          + "\(offset)")
    }
    var done = 0
    while done < buffer.count {
      done += try read(into: buffer.part(done..<buffer.count), at: offset + UInt64(done))
    }
  }

  /// Fills the start of `buffer` as far as one region of the shard goes; returns how far.
  private func read(
    into buffer: UnsafeMutableRawBufferPointer, at position: UInt64
  ) throws -> Int {
    func fit(_ end: UInt64) -> UnsafeMutableRawBufferPointer {
      buffer.part(0..<Int(min(UInt64(buffer.count), end - position)))
    }
    if position < UInt64(header.count) {
      let part = fit(UInt64(header.count))
      header.withUnsafeBytes {
        part.copyMemory(from: $0.part(Int(position)..<Int(position) + part.count))
      }
      return part.count
    }
    // The last tensor that starts at or before the position.
    var (low, high) = (0, contents.count)
    while low < high {
      let middle = (low + high) / 2
      if contents[middle].tensor.offset <= position { low = middle + 1 } else { high = middle }
    }
    if low > 0 {
      let content = contents[low - 1]
      let start = position - content.tensor.offset
      if start < content.tensor.byteCount {
        let part = fit(content.tensor.offset + content.tensor.byteCount)
        if let encoding = content.encoding {
          try encoding.read(into: part, at: start)
        } else {
          try file.readExactly(into: part, at: content.original.offset + start)
        }
        return part.count
      }
    }
    let padding = fit(low < contents.count ? contents[low].tensor.offset : byteCount)
    padding.initializeMemory(as: UInt8.self, repeating: 0)
    return padding.count
  }
}
