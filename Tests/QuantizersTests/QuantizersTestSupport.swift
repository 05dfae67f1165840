import Foundation
import Kernels
import Quantizers
import TestSupport
import Tensors

/// Rows of float32 weights.
struct Rows {
  var values: [Float]
  let columns: Int

  var count: Int { values.count / columns }

  /// The blocks of the rows.
  func encoded(_ type: TensorType, weights: ColumnWeights? = nil) throws -> [UInt8] {
    guard let quantizer = Quantizer(type) else { fatalError("no quantiser to \(type)") }
    // Whatever was in the memory before must not shine through.
    var blocks = [UInt8](repeating: 0xA5, count: count * type.rowBytes(columns: columns))
    try values.withUnsafeBufferPointer { rows in
      try blocks.withUnsafeMutableBytes {
        try quantizer.encode(rows, columns: columns, weights: weights, into: $0)
      }
    }
    return blocks
  }

  /// The rows that `blocks` of `type` stand for.
  init(decoding blocks: [UInt8], type: TensorType, columns: Int) {
    self.columns = columns
    let rows = blocks.count / type.rowBytes(columns: columns)
    values = blocks.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return [] }
      let view = MatrixView(type: type, rows: rows, columns: columns, base: base)
      return [Float](unsafeUninitializedCapacity: rows * columns) { buffer, initialized in
        guard let target = buffer.baseAddress else { return }
        for row in 0..<rows {
          KernelSet(.scalar).dequantize(view, row: row, into: target + row * columns)
        }
        initialized = rows * columns
      }
    }
  }

  init(values: [Float], columns: Int) {
    self.values = values
    self.columns = columns
  }

  /// What encoding and decoding leave of the rows.
  func roundTrip(_ type: TensorType, weights: ColumnWeights? = nil) throws -> Rows {
    Rows(decoding: try encoded(type, weights: weights), type: type, columns: columns)
  }

  /// Mean over rows of sum(m e^2) / sum(m); all m are 1 without `importance`.
  func error(of other: Rows, importance: [Float]? = nil) -> Double {
    var sum = 0.0
    for (index, (own, theirs)) in zip(values, other.values).enumerated() {
      let difference = Double(own) - Double(theirs)
      sum += difference * difference * Double(importance?[index % columns] ?? 1)
    }
    let total = importance.map { $0.reduce(0) { $0 + Double($1) } } ?? Double(columns)
    return sum / total / Double(count)
  }
}

/// The distributions that `fixtures/quantizers/reference.py` defines.
enum SyntheticRows {
  static let names = ["bell", "heavy", "shifted", "uniform"]
  static let rows = 32
  static let columns = 1024

  private static func uniforms(seed: UInt64, count: Int) -> [Double] {
    var words = RandomBytes(seed: seed)
    return (0..<count).map { _ in Double(words.next() >> 40) / 16_777_216 }
  }

  static func make(_ name: String, rows: Int = rows) -> Rows {
    let number = UInt64(names.firstIndex(of: name) ?? 0) + 1
    let u = uniforms(seed: number, count: 4 * rows * columns)
    let values = stride(from: 0, to: u.count, by: 4).map { at -> Float in
      let x = u[at] + u[at + 1] + u[at + 2] + u[at + 3] - 2
      return switch name {
      case "heavy": Float(x * x * x)
      case "shifted": Float(x + 1)
      case "uniform": Float(u[at] - 0.5)
      default: Float(x)
      }
    }
    return Rows(values: values, columns: columns)
  }

  /// Mean squares of activations for the columns.
  static let importance: [Float] = uniforms(seed: 99, count: columns).map {
    Float($0 * $0 * $0 + 0.01)
  }
}
