import Kernels
import Tensors
import Testing

@Suite struct DequantizeTests {
  static let goldenTypes = [
    "BF16", "IQ1_M", "IQ1_S", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ3_S", "IQ3_XXS", "IQ4_NL", "IQ4_XS",
    "MXFP4", "NVFP4", "Q2_K", "Q3_K", "Q4_0", "Q4_1", "Q4_K", "Q5_0", "Q5_1", "Q5_K", "Q6_K",
    "Q8_0",
    "TQ1_0", "TQ2_0",
  ]

  @Test("Blocks decode to the reference's values bit for bit", arguments: goldenTypes)
  func golden(name: String) throws {
    let type = try #require(TensorType(name: name))
    let blocks = try fixture("dequant/\(name).blocks")
    let expected = try fixture("dequant/\(name).f32")
    let columns = 24 * type.blockSize
    try #require(blocks.count == 24 * type.bytesPerBlock && expected.count == 4 * columns)
    for set in instructionSets {
      let values = blocks.withUnsafeBytes { bytes -> [Float] in
        guard let base = bytes.baseAddress else { return [] }
        return KernelSet(set).row(MatrixView(type: type, rows: 1, columns: columns, base: base), 0)
      }
      let bits = values.withUnsafeBytes { [UInt8]($0) }
      #expect(bits == expected, "\(set)")
    }
  }

  @Test("Every float16 is widened exactly")
  func everyHalf() {
    let bits = (0...UInt16.max).map { $0 }
    let values = bits.withUnsafeBytes { bytes -> [Float] in
      guard let base = bytes.baseAddress else { return [] }
      return KernelSet(.scalar).row(MatrixView(type: .f16, rows: 1, columns: 65536, base: base), 0)
    }
    let wrong = zip(bits, values).filter { bits, value in
      let exponent = Int(bits >> 10 & 31)
      let mantissa = Float(bits & 1023) / 1024
      let magnitude: Float =
        switch exponent {
        case 0: Float(sign: .plus, exponent: -14, significand: mantissa)
        case 31: mantissa == 0 ? .infinity : .nan
        default: Float(sign: .plus, exponent: exponent - 15, significand: 1 + mantissa)
        }
      let expected = bits >> 15 == 1 ? -magnitude : magnitude
      return value.bitPattern != expected.bitPattern && !(value.isNaN && expected.isNaN)
    }
    #expect(wrong.isEmpty, "\(wrong.prefix(3))")
  }

  @Test("Integers and doubles are converted")
  func plain() {
    func first(_ type: TensorType, _ bytes: [UInt8]) -> Float {
      bytes.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return .nan }
        return KernelSet(.scalar).row(MatrixView(type: type, rows: 1, columns: 1, base: base), 0)[0]
      }
    }
    #expect(first(.i8, [0xff]) == -1)
    #expect(first(.i16, [0x00, 0x80]) == -32768)
    #expect(first(.i32, [0x01, 0x00, 0x00, 0xff]) == -16_777_215)
    #expect(first(.f64, [0, 0, 0, 0, 0, 0, 0xf8, 0x3f]) == 1.5)
  }

  @Test("Any row of a strided matrix can be asked for")
  func stridedRows() {
    var random = Random(seed: 1)
    let w = Weights(.q8_0, rows: 3, columns: 64, padding: 34, using: &random)
    for r in 0..<3 {
      let alone = MatrixView(
        type: .q8_0, rows: 1, columns: 64, base: w.view.base + r * w.view.rowStride)
      #expect(KernelSet(.scalar).row(w.view, r) == KernelSet(.scalar).row(alone, 0))
    }
  }

  @Test("Types without a decoder are said to be unsupported")
  func unsupported() {
    let missing = TensorType.all.filter { !KernelSet(.scalar).supports($0) }
    #expect(Set(missing) == [.q8_1, .q8_K, .i64, .q1_0, .q2_0])
  }
}
