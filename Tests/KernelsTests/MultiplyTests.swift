import Kernels
import Tensors
import Testing

@Suite struct MultiplyTests {
  @Test(
    "The scalar product is the dequantised row times the activations", arguments: supportedTypes)
  func definition(type: TensorType) {
    var random = Random(seed: 2)
    for columns in columnCounts(type) {
      let w = Weights(type, rows: 3, columns: columns, padding: 6, using: &random)
      let x = random.floats(11 * columns)
      let out = KernelSet(.scalar).product(w.view, x, tokens: 11)
      for r in 0..<3 {
        let row = KernelSet(.scalar).row(w.view, r)
        for t in 0..<11 {
          let terms = (0..<columns).map { Double(row[$0]) * Double(x[t * columns + $0]) }
          let sum = terms.reduce(0, +)
          // Sums in double, in another order; then one rounding to float32.
          let bound = abs(sum) * 0x1p-24 + terms.reduce(0) { $0 + abs($1) } * 0x1p-45
          #expect(abs(Double(out[t * 3 + r]) - sum) <= bound, "\(columns) columns")
        }
      }
    }
  }

  @Test(
    "Fast products agree with the definition on all sizes and extremes", arguments: supportedTypes,
    BlockStyle.allCases)
  func agreement(type: TensorType, style: BlockStyle) {
    var random = Random(seed: 3)
    for set in instructionSets where set != .scalar {
      for columns in columnCounts(type) {
        let w = Weights(type, rows: 5, columns: columns, style: style, using: &random)
        let x = random.floats(4 * columns)
        let exact = KernelSet(.scalar).product(w.view, x, tokens: 4)
        let fast = KernelSet(set).product(w.view, x, tokens: 4)
        for r in 0..<5 {
          let row = KernelSet(.scalar).row(w.view, r)
          for t in 0..<4 {
            let activations = x[t * columns..<(t + 1) * columns]
            let magnitude = zip(row, activations).reduce(0.0) {
              $0 + abs(Double($1.0) * Double($1.1))
            }
            // 32 float32 sums of columns / 32 fused terms, then a tree of five additions, and the
            // rounding of both results to float32, near zero to its subnormals.
            var bound = (Double(columns / 32) + 8) * 0x1p-24 * magnitude + 0x1p-148
            if type == .q4_K || type == .q5_K {
              // scale * q - minimum is fused: off by half an ulp of a product of at most 63 * 31 * d.
              bound +=
                0x1p-24 * 63 * 31 * style.scaleBound
                * activations.reduce(0.0) { $0 + abs(Double($1)) }
            }
            let error = abs(Double(fast[t * 5 + r]) - Double(exact[t * 5 + r]))
            #expect(error <= bound, "\(set), \(columns) columns")
          }
        }
      }
    }
  }

  @Test("A product with unit vectors gives back the weights", arguments: supportedTypes)
  func unitVectors(type: TensorType) {
    var random = Random(seed: 4)
    let columns = type.blockSize == 1 ? 43 : type.blockSize
    let w = Weights(type, rows: 2, columns: columns, using: &random)
    var x = [Float](repeating: 0, count: columns * columns)
    for c in 0..<columns { x[c * columns + c] = 1 }
    for set in instructionSets {
      let together = KernelSet(set).product(w.view, x, tokens: columns)
      for r in 0..<2 {
        let row = KernelSet(.scalar).row(w.view, r)
        for c in 0..<columns {
          let single = KernelSet(set).product(
            w.view.rows(r..<r + 1), Array(x[c * columns..<(c + 1) * columns]), tokens: 1)
          #expect(single[0] == together[c * 2 + r])
          // Only these two fuse their minimum; see the agreement test.
          let isFused = set != .scalar && (type == .q4_K || type == .q5_K)
          let bound: Float = isFused ? 0x1p-24 * 63 * 31 * 0x1p-4 : 0
          #expect(abs(together[c * 2 + r] - row[c]) <= bound, "\(set), row \(r), column \(c)")
        }
      }
    }
  }

  @Test("An element's bits depend on its row and token alone", arguments: supportedTypes)
  func bitIdentity(type: TensorType) {
    var random = Random(seed: 5)
    let columns = type.blockSize == 1 ? 301 : 3 * type.blockSize
    let rows = 37
    let tokens = 27
    let w = Weights(type, rows: rows, columns: columns, using: &random)
    let x = random.floats(tokens * columns)
    for set in instructionSets {
      let kernels = KernelSet(set)
      let all = kernels.product(w.view, x, tokens: tokens).map(\.bitPattern)
      for count in [1, 2, 3, 4, 5, 11, 12, 13] {
        for first in stride(from: 0, through: tokens - count, by: 5) {
          let part = kernels.product(
            w.view, Array(x[first * columns..<(first + count) * columns]), tokens: count)
          let expected = all[first * rows..<(first + count) * rows]
          #expect(part.map(\.bitPattern) == Array(expected), "\(set), \(count) tokens")
        }
      }
      for range in [0..<1, 3..<5, 1..<4, 5..<36, 36..<37, 4..<4] {
        let part = kernels.product(w.view.rows(range), x, tokens: tokens).map(\.bitPattern)
        let expected = (0..<tokens).flatMap { t in range.map { all[t * rows + $0] } }
        #expect(part == expected, "\(set), rows \(range)")
      }
    }
  }

  @Test("Products on a pool are the serial ones bit for bit", arguments: [1, 2, 3, 16])
  func pooled(threads: Int) {
    var random = Random(seed: 6)
    let pool = ComputePool(threads: threads)
    for type in [TensorType.iq3_XXS, .q6_K, .f32] {
      let w = Weights(type, rows: 133, columns: 512, using: &random)
      for tokens in [1, 2, 40] {
        let x = random.floats(tokens * 512)
        for set in instructionSets {
          let serial = KernelSet(set).product(w.view, x, tokens: tokens)
          for _ in 0..<5 {
            let parallel = KernelSet(set).product(w.view, x, tokens: tokens, pool: pool)
            #expect(parallel.map(\.bitPattern) == serial.map(\.bitPattern))
          }
        }
      }
    }
  }

  @Test("Blocks may start at odd addresses", arguments: supportedTypes)
  func misaligned(type: TensorType) {
    let columns = type.blockSize == 1 ? 43 : type.blockSize
    for set in instructionSets {
      var first = Random(seed: 7)
      var second = Random(seed: 7)
      let aligned = Weights(type, rows: 2, columns: columns, using: &first)
      let odd = Weights(type, rows: 2, columns: columns, isMisaligned: true, using: &second)
      let x = first.floats(2 * columns)
      for tokens in 1...2 {
        #expect(
          KernelSet(set).product(aligned.view, x, tokens: tokens)
            == KernelSet(set).product(odd.view, x, tokens: tokens))
      }
      #expect(KernelSet(set).row(aligned.view, 1) == KernelSet(set).row(odd.view, 1))
    }
  }

  @Test("Nothing behind a row, an activation or a result is touched", arguments: supportedTypes)
  func noOverrun(type: TensorType) {
    var random = Random(seed: 8)
    for columns in columnCounts(type) {
      let w = Weights(type, rows: 3, columns: columns, using: &random)
      let bytes = GuardedMemory(count: 3 * w.view.rowStride)
      bytes.start.copyMemory(from: w.view.base, byteCount: 3 * w.view.rowStride)
      let view = MatrixView(type: type, rows: 3, columns: columns, base: bytes.start)
      for tokens in 1...5 {
        let values = random.floats(tokens * columns)
        let x = GuardedMemory(count: 4 * values.count)
        x.start.copyMemory(from: values, byteCount: 4 * values.count)
        let out = GuardedMemory(count: 4 * tokens * 3)
        for set in instructionSets {
          let kernels = KernelSet(set)
          kernels.multiply(
            view, Activations(x.start.assumingMemoryBound(to: Float.self), stride: columns),
            tokens: tokens, into: out.start.assumingMemoryBound(to: Float.self), outStride: 3)
          let result = UnsafeRawBufferPointer(start: out.start, count: 12 * tokens)
          let expected = kernels.product(w.view, values, tokens: tokens)
          #expect(expected.withUnsafeBytes { $0.elementsEqual(result) })
        }
      }
      let row = GuardedMemory(count: 4 * columns)
      KernelSet(.scalar).dequantize(
        view, row: 2, into: row.start.assumingMemoryBound(to: Float.self))
    }
  }

  @Test("Strides of activations and results are kept")
  func strides() {
    var random = Random(seed: 9)
    let w = Weights(.q8_0, rows: 5, columns: 64, using: &random)
    let x = random.floats(3 * 70)
    let packed = (0..<3).flatMap { x[$0 * 70..<$0 * 70 + 64] }
    for set in instructionSets {
      var out = [Float](repeating: 7, count: 3 * 9)
      x.withUnsafeBufferPointer { x in
        guard let x = x.baseAddress else { return }
        KernelSet(set).multiply(
          w.view, Activations(x, stride: 70), tokens: 3, into: &out, outStride: 9)
      }
      let expected = KernelSet(set).product(w.view, packed, tokens: 3)
      for t in 0..<3 {
        #expect(Array(out[t * 9..<t * 9 + 5]) == Array(expected[t * 5..<t * 5 + 5]))
        #expect(out[t * 9 + 5..<t * 9 + 9].allSatisfy { $0 == 7 })
      }
    }
  }

  @Test("An infinity or a NaN in the activations reaches the result", arguments: [1, 4])
  func notFinite(tokens: Int) {
    var random = Random(seed: 10)
    let w = Weights(.q8_0, rows: 2, columns: 64, using: &random)
    for set in instructionSets {
      var x = random.floats(tokens * 64)
      x[17] = .nan
      let out = KernelSet(set).product(w.view, x, tokens: tokens)
      #expect(out[0].isNaN && out[1].isNaN)
      #expect(out[2...].allSatisfy { $0.isFinite })
    }
  }

  @Test("A type without kernels traps")
  func unsupportedTraps() async {
    await #expect(processExitsWith: .failure) {
      let bytes = [UInt8](repeating: 0, count: TensorType.q8_1.bytesPerBlock)
      let x = [Float](repeating: 0, count: 32)
      var out: Float = 0
      bytes.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return }
        let w = MatrixView(type: .q8_1, rows: 1, columns: 32, base: base)
        x.withUnsafeBufferPointer { x in
          guard let x = x.baseAddress else { return }
          KernelSet(.scalar).multiply(
            w, Activations(x, stride: 32), tokens: 1, into: &out, outStride: 1)
        }
      }
    }
  }

  @Test("Overlapping activations trap")
  func strideTraps() async {
    await #expect(processExitsWith: .failure) {
      let weights = [Float](repeating: 0, count: 32)
      let x = [Float](repeating: 0, count: 64)
      var out = [Float](repeating: 0, count: 2)
      weights.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return }
        let w = MatrixView(type: .f32, rows: 1, columns: 32, base: base)
        x.withUnsafeBufferPointer { x in
          guard let x = x.baseAddress else { return }
          KernelSet(.scalar).multiply(
            w, Activations(x, stride: 31), tokens: 2, into: &out, outStride: 1)
        }
      }
    }
  }
}
