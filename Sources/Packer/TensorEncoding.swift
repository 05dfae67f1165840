internal import FileIO
internal import GGUF
internal import Kernels
internal import Quantizers
internal import Synchronization
internal import Tensors

/// How many threads encode at once, whoever asks: readers that run in parallel share them.
final class EncodingCrew: Sendable {
  private let threads: Int
  private let active = Mutex(0)

  init(threads: Int) { self.threads = threads }

  /// Calls `body` once for each of `0..<count`, on the calling thread and as many others as are idle.
  func forEach(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
    let extra = active.withLock { active in
      let extra = max(0, min(count - 1, threads - active - 1))
      active += 1 + extra
      return extra
    }
    defer { active.withLock { $0 -= 1 + extra } }
    try ParallelWork.forEach(count, threads: 1 + extra, body)
  }
}

/// A tensor in another type: any range of its new bytes, made from the rows of the old ones.
struct TensorEncoding: Sendable {
  private let original: GGUFTensor
  private let file: File
  private let quantizer: Quantizer
  private let importance: ImportanceMatrix?
  private let crew: EncodingCrew
  private let buffers: BufferPool
  private let columns: Int
  private let rowsPerMatrix: UInt64
  private let rowBytes: Int
  private let originalRowBytes: Int
  /// Rows encoded at once.
  private let pieceRows: Int

  /// Elements of a piece: a megabyte of floats stays in the cache of a core between decoding and encoding.
  private static let pieceElements = 1 << 18

  init(
    of original: GGUFTensor, in file: File, to type: TensorType, importance: ImportanceMatrix?,
    crew: EncodingCrew
  ) {
    guard let quantizer = Quantizer(type) else { preconditionFailure("no quantiser to \(type)") }
    self.original = original
    self.file = file
    self.quantizer = quantizer
    self.importance = importance
    self.crew = crew
    columns = Int(original.dimensions[0])
    rowsPerMatrix = original.dimensions[1]
    rowBytes = type.rowBytes(columns: columns)
    originalRowBytes = original.type.rowBytes(columns: columns)
    pieceRows = max(1, Self.pieceElements / columns)
    buffers = BufferPool(byteCount: pieceRows * (originalRowBytes + 4 * columns + rowBytes))
  }

  /// Fills `buffer` with the tensor's new bytes from `offset`.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    guard buffer.count > 0 else { return }
    let firstRow = offset / UInt64(rowBytes)
    let endRow = (offset + UInt64(buffer.count) - 1) / UInt64(rowBytes) + 1
    var pieces: [Range<UInt64>] = []
    var row = firstRow
    while row < endRow {
      // A piece lies in one matrix: every expert has weights of its own.
      let matrixEnd = (row / rowsPerMatrix + 1) * rowsPerMatrix
      let end = min(endRow, matrixEnd, row + UInt64(pieceRows))
      pieces.append(row..<end)
      row = end
    }
    let target = Target(buffer: buffer)
    try crew.forEach(pieces.count) { [pieces] index in
      try encode(pieces[index], into: target.buffer, at: offset)
    }
  }

  /// Memory that several threads fill, each a part of its own.
  private struct Target: @unchecked Sendable {
    // Sendable: pieces do not overlap, and the reader waits for all of them.
    let buffer: UnsafeMutableRawBufferPointer
  }

  /// Encodes the rows `rows` and puts what belongs into `target`, which starts at `offset` of the tensor.
  private func encode(
    _ rows: Range<UInt64>, into target: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws {
    let count = rows.count
    let expert = Int(rows.lowerBound / rowsPerMatrix)
    let weights = try importance?.weights(of: original, expert: expert)
    let sourceBytes = count * originalRowBytes
    // Floats first: the buffer is aligned for them.
    let floatBytes = 4 * count * columns
    try buffers.withBuffer { buffer in
      let floats = buffer.bytes.part(0..<floatBytes).bindMemory(to: Float.self)
      let source = buffer.bytes.part(floatBytes..<floatBytes + sourceBytes)
      let blocks = buffer.bytes.part(
        floatBytes + sourceBytes..<floatBytes + sourceBytes + count * rowBytes)
      try file.readExactly(
        into: source, at: original.offset + rows.lowerBound * UInt64(originalRowBytes))
      guard let base = source.baseAddress, let values = floats.baseAddress else { return }
      let view = MatrixView(type: original.type, rows: count, columns: columns, base: base)
      for row in 0..<count {
        KernelSet(.scalar).dequantize(view, row: row, into: values + row * columns)
      }
      do {
        try quantizer.encode(
          UnsafeBufferPointer(floats), columns: columns, weights: weights,
          firstRow: Int(rows.lowerBound % rowsPerMatrix), into: blocks)
      } catch {
        let place =
          original.elementCount > UInt64(columns) * rowsPerMatrix ? "expert \(expert), " : ""
        throw RequantizationError(
          "\(file.path): tensor \(original.name.quotedForMessage): \(place)\(error); leave the tensor as "
            + "it is, or download the file again if it should not be so")
      }
      let start = rows.lowerBound * UInt64(rowBytes)
      let first = max(start, offset)
      let end = min(start + UInt64(blocks.count), offset + UInt64(target.count))
      target.part(Int(first - offset)..<Int(end - offset)).copyMemory(
        from: UnsafeRawBufferPointer(blocks.part(Int(first - start)..<Int(end - start))))
    }
  }
}
