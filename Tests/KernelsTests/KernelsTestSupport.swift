import Kernels
import Tensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The instruction sets that this machine can test.
let instructionSets = InstructionSet.allCases.filter(\.isAvailable)

/// Every type that the kernels know.
let supportedTypes = TensorType.all.filter { KernelSet(.scalar).supports($0) }

/// Column counts worth testing: one block to several super-blocks, and odd ones where they are legal.
func columnCounts(_ type: TensorType) -> [Int] {
  type.blockSize == 1
    ? [1, 7, 8, 9, 31, 33, 40, 255, 256, 257, 300, 519]
    : [1, 2, 3, 5, 9].map { $0 * type.blockSize }
}

extension KernelSet {
  /// `multiply` with arrays, tightly packed: `[tokens, rows]`; with quantised activations where the
  /// set takes them and `precision` is given.
  func product(
    _ w: MatrixView, _ x: [Float], tokens: Int, pool: ComputePool? = nil,
    precision: Activations.Precision? = nil, list: [Int32]? = nil
  ) -> [Float] {
    let inputs = tokens
    let tokens = list?.count ?? inputs
    var out = [Float](repeating: .nan, count: tokens * w.rows)
    let bytes = precision != nil ? inputs * quantizedByteCount(columns: w.columns) : 0
    let quantized = GuardedMemory(count: max(bytes, 64))
    out.withUnsafeMutableBufferPointer { out in
      x.withUnsafeBufferPointer { x in
        guard let out = out.baseAddress, let x = x.baseAddress else { return }
        if bytes > 0 {
          quantize(
            x, stride: w.columns, columns: w.columns, tokens: inputs,
            precision: precision ?? .bits16, into: quantized.start)
        }
        (list ?? []).withUnsafeBufferPointer { list in
          let input = Activations(
            x, stride: w.columns, quantized: bytes > 0 ? UnsafeRawPointer(quantized.start) : nil,
            rows: list.isEmpty ? nil : list.baseAddress, precision: precision ?? .bits8)
          if let pool {
            multiply(w, input, tokens: tokens, into: out, outStride: w.rows, pool: pool)
          } else {
            multiply(w, input, tokens: tokens, into: out, outStride: w.rows)
          }
        }
      }
    }
    return out
  }

  /// `dequantize` with an array.
  func row(_ w: MatrixView, _ row: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: w.columns) { buffer, count in
      if let out = buffer.baseAddress { dequantize(w, row: row, into: out) }
      count = w.columns
    }
  }
}

/// Contents of the file at `path` below fixtures/.
func fixture(_ path: String) throws -> [UInt8] {
  let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
    .joined(separator: "/")
  guard let file = fopen("\(root)/fixtures/\(path)", "rb") else { throw FixtureError(path: path) }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = fread(&chunk, 1, chunk.count, file)
    if count == 0 { return bytes }
    bytes += chunk[..<count]
  }
}

struct FixtureError: Error {
  let path: String
}

/// Memory whose last byte is followed by a page that may not be touched.
final class GuardedMemory {
  private let mapping: UnsafeMutableRawPointer
  private let length: Int
  private let count: Int

  /// `count` bytes, all zero.
  init(count: Int) {
    let page = Int(getpagesize())
    length = (count + page - 1) / page * page + page
    self.count = count
    guard
      let mapping = mmap(
        nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0), mapping != MAP_FAILED,
      mprotect(mapping + length - page, page, PROT_NONE) == 0
    else { preconditionFailure("no memory for a guarded page") }
    self.mapping = mapping
  }

  deinit { munmap(mapping, length) }

  /// The first of the `count` bytes.
  var start: UnsafeMutableRawPointer { mapping + length - Int(getpagesize()) - count }
}
