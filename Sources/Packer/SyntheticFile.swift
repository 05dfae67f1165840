internal import FileIO
internal import GGUF
internal import Recipes

/// A GGUF of random weights that exists only as its description: any range of it can be read.
struct SyntheticFile: ByteSource {
  fileprivate struct Content: Sendable {
    let tensor: GGUFTensor
    let blocks: SyntheticBlocks
    let random: RandomWords
  }

  /// Bytes of the file.
  let byteCount: UInt64
  private let header: [UInt8]
  /// By offset, as the writer laid them out.
  private let contents: [Content]

  /// The file that `layout` describes, with random weights of `tensors`, which are in the layout's
  /// order. Each tensor has a seed of its own, made of `seed` and its name: it does not change when
  /// others come or go.
  init(layout: GGUFWriter.Layout, tensors: [ModelTensor], seed: UInt64) {
    byteCount = layout.fileSize
    header = layout.header.bytes.withUnsafeBytes { Array($0) }
    contents = zip(layout.header.tensors, tensors).map { placed, tensor in
      precondition(placed.name == tensor.name)
      let hash = Array(tensor.name.utf8).withUnsafeBytes { XXH3.hash64($0, seed: seed) }
      return Content(
        tensor: placed,
        blocks: SyntheticBlocks(type: tensor.type, distribution: tensor.distribution),
        random: RandomWords(seed: hash))
    }
  }

  var modified: Int64 { 0 }

  func readExactly(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) {
    precondition(offset <= byteCount && UInt64(buffer.count) <= byteCount - offset)
    var done = 0
    while done < buffer.count {
      let rest = buffer.part(done..<buffer.count)
      done += read(into: rest, at: offset + UInt64(done))
    }
  }

  /// Fills the start of `buffer` as far as one region of the file goes; returns how far.
  private func read(into buffer: UnsafeMutableRawBufferPointer, at position: UInt64) -> Int {
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
        content.read(into: part, at: start)
        return part.count
      }
    }
    let padding = fit(low < contents.count ? contents[low].tensor.offset : byteCount)
    padding.initializeMemory(as: UInt8.self, repeating: 0)
    return padding.count
  }
}

extension SyntheticFile.Content {
  /// Fills `buffer` with the tensor's bytes from `offset`.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) {
    let stretch = blocks.stretchBytes
    var done = 0
    while done < buffer.count {
      let position = offset + UInt64(done)
      let skipped = Int(position % UInt64(stretch))
      let left = buffer.count - done
      if skipped == 0, left >= stretch {
        let count = left - left % stretch
        blocks.fill(buffer.part(done..<done + count), at: position, random: random)
        done += count
        continue
      }
      let count = min(stretch - skipped, left)
      withUnsafeTemporaryAllocation(byteCount: stretch, alignment: 8) { whole in
        blocks.fill(whole, at: position - UInt64(skipped), random: random)
        buffer.part(done..<done + count).copyMemory(
          from: UnsafeRawBufferPointer(whole.part(skipped..<skipped + count)))
      }
      done += count
    }
  }
}
