#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Angles of the rotary position embedding (https://arxiv.org/abs/2104.09864), in double precision:
/// at large positions a float32 angle is off by more than the low frequencies turn in a token.
struct RotaryAngles {
  private let frequencies: [Double]  // [rotated / 2]

  init(_ shape: ModelConfig.Attention) {
    frequencies = (0..<shape.rotatedSize / 2).map { pair in
      pow(shape.ropeBase, -2 * Double(pair) / Double(shape.rotatedSize))
    }
  }

  /// Writes cosines and sines of `tokens` positions from `position` on, `[tokens, rotated / 2]` each.
  func write(position: Int, tokens: Int, to scratch: Scratch) {
    for token in 0..<tokens {
      let row = token * frequencies.count
      for (pair, frequency) in frequencies.enumerated() {
        let angle = Double(position + token) * frequency
        scratch.cosines[row + pair] = Float(cos(angle))
        scratch.sines[row + pair] = Float(sin(angle))
      }
    }
  }
}
