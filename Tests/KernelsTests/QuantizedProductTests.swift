import Kernels
import Tensors
import Testing

/// The instruction sets whose products take quantised activations.
private let quantizingSets = instructionSets.filter {
  KernelSet($0).quantizedByteCount(columns: 32) > 0
}

private let quantizedTypes = supportedTypes.filter { type in
  quantizingSets.contains { KernelSet($0).takesQuantized(type, columns: type.blockSize) }
}

private let choices = quantizingSets.flatMap { set in
  [Activations.Precision.bits8, .bits16].map { (set, $0) }
}

/// What quantisation makes of `x`: steps of a 32512th of the largest magnitude among 32 neighbours,
/// or of 256 such steps.
private func quantized(_ x: ArraySlice<Float>, _ precision: Activations.Precision) -> [Double] {
  let x = Array(x)
  return stride(from: 0, to: x.count, by: 32).flatMap { start -> [Double] in
    let group = x[start..<start + 32]
    let largest = group.reduce(0) { max($0, abs($1)) }
    guard largest >= 0x1p-100 else { return [Double](repeating: 0, count: 32) }
    return group.map {
      let fine = ($0 * (32512 / largest)).rounded(.toNearestOrEven)
      let steps = precision == .bits16 ? fine : ((fine + 128) / 256).rounded(.down) * 256
      return Double(steps) * Double(largest / 32512)
    }
  }
}

@Suite("Products of quantised activations") struct QuantizedProductTests {
  @Test(
    "They are the dequantised weights times the quantised activations", arguments: quantizedTypes,
    BlockStyle.allCases)
  func definition(type: TensorType, style: BlockStyle) {
    var random = Random(seed: 21)
    for (set, precision) in choices {
      for columns in columnCounts(type) + [8 * 256] {
        let w = Weights(type, rows: 19, columns: columns, style: style, using: &random)
        let x = random.floats(3 * columns)
        let out = KernelSet(set).product(w.view, x, tokens: 3, precision: precision)
        for r in 0..<19 {
          let row = KernelSet(.scalar).row(w.view, r)
          for t in 0..<3 {
            let terms = zip(row, quantized(x[t * columns..<(t + 1) * columns], precision)).map {
              Double($0) * $1
            }
            let sum = terms.reduce(0, +)
            // Whole numbers within a group; then a product of scales, and a fused sum for each group
            // of 16 or 32, twice where there are minima. Minima of Q4_K and its like can cancel the
            // rest: their terms are as large as the scale allows.
            let slack = style.scaleBound * 63 * 31 * Double(columns)
            let magnitude = terms.reduce(0) { $0 + abs($1) }
            let steps = Double(columns / 16) * 2 + 8
            let hasMinima = ["Q2_K", "Q4_K", "Q5_K", "Q4_1", "Q5_1"].contains(type.name)
            let bound =
              steps * 0x1p-24 * magnitude + (hasMinima ? 0x1p-22 * slack : 0) + 0x1p-126
            #expect(
              abs(Double(out[t * 19 + r]) - sum) <= bound,
              "\(set), \(precision), \(columns) columns")
          }
        }
      }
    }
  }

  @Test("An element's bits depend on its row and token alone", arguments: quantizedTypes)
  func bitIdentity(type: TensorType) {
    var random = Random(seed: 22)
    let (columns, rows, tokens) = (3 * type.blockSize, 53, 67)
    let w = Weights(type, rows: rows, columns: columns, padding: 3, using: &random)
    let x = random.floats(tokens * columns)
    for (set, precision) in choices {
      let kernels = KernelSet(set)
      let all = kernels.product(w.view, x, tokens: tokens, precision: precision).map(\.bitPattern)
      for count in [1, 2, 3, 7, 8, 15, 64, 65] {
        for first in stride(from: 0, through: tokens - count, by: 13) {
          let part = kernels.product(
            w.view, Array(x[first * columns..<(first + count) * columns]), tokens: count,
            precision: precision)
          #expect(part.map(\.bitPattern) == Array(all[first * rows..<(first + count) * rows]))
        }
      }
      for range in [0..<1, 3..<20, 16..<32, 36..<53] {
        let part = kernels.product(w.view.rows(range), x, tokens: tokens, precision: precision)
        let expected = (0..<tokens).flatMap { t in range.map { all[t * rows + $0] } }
        #expect(part.map(\.bitPattern) == expected, "\(set), rows \(range)")
      }
      for threads in [2, 3] {
        let pool = ComputePool(threads: threads)
        let pooled = kernels.product(
          w.view, x, tokens: tokens, pool: pool, precision: precision)
        #expect(pooled.map(\.bitPattern) == all)
      }
      let list: [Int32] = [66, 3, 3, 0, 12]
      let listed = kernels.product(
        w.view, x, tokens: tokens, precision: precision, list: list)
      #expect(
        listed.map(\.bitPattern) == list.flatMap { all[Int($0) * rows..<(Int($0) + 1) * rows] })
    }
  }

  @Test("Nothing behind a row or a result is touched", arguments: quantizedTypes)
  func noOverrun(type: TensorType) {
    var random = Random(seed: 23)
    for columns in columnCounts(type) {
      let w = Weights(type, rows: 17, columns: columns, using: &random)
      let bytes = GuardedMemory(count: 17 * w.view.rowStride)
      bytes.start.copyMemory(from: w.view.base, byteCount: 17 * w.view.rowStride)
      let view = MatrixView(type: type, rows: 17, columns: columns, base: bytes.start)
      let x = random.floats(2 * columns)
      for (set, tokens) in quantizingSets.flatMap({ set in [1, 2].map { (set, $0) } }) {
        let guarded = KernelSet(set).product(view, x, tokens: tokens, precision: .bits16)
        let plain = KernelSet(set).product(w.view, x, tokens: tokens, precision: .bits16)
        #expect(guarded == plain)
      }
    }
  }

  @Test("What is not a number stays none, and zeros and tiny values give zero")
  func extremes() {
    var random = Random(seed: 24)
    let w = Weights(.q8_0, rows: 2, columns: 64, using: &random)
    for set in quantizingSets {
      for value in [Float.nan, .infinity, -.infinity] {
        var x = random.floats(64)
        x[40] = value
        let out = KernelSet(set).product(w.view, x, tokens: 1, precision: .bits16)
        #expect(out.allSatisfy { !$0.isFinite })
      }
      for value in [0, Float.leastNonzeroMagnitude, -0x1p-120] {
        let x = [Float](repeating: value, count: 64)
        let out = KernelSet(set).product(w.view, x, tokens: 1, precision: .bits16)
        #expect(out == [0, 0])
      }
      let x = [Float](repeating: 0x1p100, count: 64)
      let out = KernelSet(set).product(w.view, x, tokens: 1, precision: .bits16)
      #expect(out.allSatisfy { $0.isFinite })
    }
  }

  @Test("Floats stay floats: a type or width without integer form does not change")
  func floats() {
    var random = Random(seed: 25)
    for set in quantizingSets {
      #expect(!KernelSet(set).takesQuantized(.f16, columns: 64))
      #expect(!KernelSet(set).takesQuantized(.q8_0, columns: 48))
      let w = Weights(.f16, rows: 5, columns: 64, using: &random)
      let x = random.floats(2 * 64)
      #expect(
        KernelSet(set).product(w.view, x, tokens: 2, precision: .bits16)
          == KernelSet(set).product(w.view, x, tokens: 2))
    }
  }
}
