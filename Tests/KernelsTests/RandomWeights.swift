import Tensors

/// SplitMix64: small, seeded, the same everywhere.
struct Random: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// `count` values in -1..<1.
  mutating func floats(_ count: Int) -> [Float] {
    (0..<count).map { _ in Float.random(in: -1..<1, using: &self) }
  }
}

/// What random blocks look like.
enum BlockStyle: String, CaseIterable, Sendable {
  case random, zeroScale, subnormalScale, largestScale, allBitsClear, allBitsSet

  /// A float16 for a scale or minimum.
  fileprivate func half(_ random: inout Random) -> UInt16 {
    let sign = UInt16.random(in: 0...1, using: &random) << 15
    switch self {
    case .zeroScale: return sign
    case .subnormalScale: return sign | 1
    case .largestScale: return sign | 0x7bff
    case .random, .allBitsClear, .allBitsSet:
      // 2^-10 ..< 2^-4
      return sign | .random(in: 5..<11, using: &random) << 10
        | .random(in: 0..<1024, using: &random)
    }
  }

  /// Largest magnitude of a scale or minimum.
  var scaleBound: Double {
    switch self {
    case .zeroScale: 0
    case .subnormalScale: 0x1p-24
    case .largestScale: 65504
    case .random, .allBitsClear, .allBitsSet: 0x1p-4
    }
  }

  fileprivate func byte(_ random: inout Random) -> UInt8 {
    switch self {
    case .allBitsClear: 0
    case .allBitsSet: 0xff
    default: .random(in: 0...255, using: &random)
    }
  }
}

/// Offsets of the float16 fields of a block.
private let halves: [String: [Int]] = [
  "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
  "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ1_S": [0], "IQ2_XXS": [0],
  "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ4_NL": [0], "IQ4_XS": [0],
  "TQ1_0": [52], "TQ2_0": [64], "F16": [0],
]

/// `count` valid blocks of `type`: random bytes, with all scales finite.
func randomBlocks(
  _ type: TensorType, count: Int, style: BlockStyle = .random, using random: inout Random
) -> [UInt8] {
  var bytes: [UInt8] = []
  for _ in 0..<count {
    var block = (0..<type.bytesPerBlock).map { _ in style.byte(&random) }
    func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
      for i in 0..<MemoryLayout<T>.size {
        block[offset + i] = UInt8(truncatingIfNeeded: value >> T(8 * i))
      }
    }
    for offset in halves[type.name] ?? [] { put(style.half(&random), at: offset) }
    switch type {
    case .f32: put(Float.random(in: -1..<1, using: &random).bitPattern, at: 0)
    case .f64: put(Double.random(in: -1..<1, using: &random).bitPattern, at: 0)
    case .bf16:
      put(UInt16(Float.random(in: -1..<1, using: &random).bitPattern >> 16), at: 0)
    case .mxfp4:
      // Exponents whose products stay finite; 0 and 1 are the subnormal ones.
      block[0] =
        switch style {
        case .zeroScale, .subnormalScale: UInt8.random(in: 0...1, using: &random)
        case .largestScale: 200
        default: .random(in: 110...130, using: &random)
        }
    case .nvfp4:
      for i in 0..<4 { block[i] &= 0x7f }
    case .iq1_M:
      // The float16 is spread over the top nibbles of four words.
      let half = style.half(&random)
      for i in 0..<4 {
        let nibble = UInt8(truncatingIfNeeded: half >> UInt16(4 * i)) & 15
        block[49 + 2 * i] = block[49 + 2 * i] & 15 | nibble << 4
      }
    default: break
    }
    bytes += block
  }
  return bytes
}

/// A matrix that owns its bytes.
final class Weights {
  let view: MatrixView
  private let bytes: UnsafeMutableRawPointer

  /// `rows` rows of `columns` random elements, `padding` bytes between rows, starting at an odd
  /// address when `isMisaligned`.
  init(
    _ type: TensorType, rows: Int, columns: Int, style: BlockStyle = .random, padding: Int = 0,
    isMisaligned: Bool = false, using random: inout Random
  ) {
    let stride = type.rowBytes(columns: columns) + padding
    bytes = .allocate(byteCount: rows * stride + 1, alignment: 64)
    let start = bytes + (isMisaligned ? 1 : 0)
    for r in 0..<rows {
      let row = randomBlocks(type, count: columns / type.blockSize, style: style, using: &random)
      (start + r * stride).copyMemory(from: row, byteCount: row.count)
    }
    view = MatrixView(type: type, rows: rows, columns: columns, rowStride: stride, base: start)
  }

  deinit { bytes.deallocate() }
}
