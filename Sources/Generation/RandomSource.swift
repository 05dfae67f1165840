/// xoshiro256** seeded by SplitMix64 (Blackman and Vigna 2018, <https://prng.di.unimi.it>).
///
/// Its own generator, because the standard library's differs from run to run: the same seed gives
/// the same numbers on every platform and in every version.
package struct RandomSource: Sendable {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  /// The sequence of `seed`.
  package init(seed: UInt64) {
    var splitMix = seed
    func next() -> UInt64 {
      splitMix &+= 0x9E37_79B9_7F4A_7C15
      var value = splitMix
      value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
      return value ^ (value >> 31)
    }
    state = (next(), next(), next(), next())
  }

  /// The next 64 random bits.
  package mutating func next() -> UInt64 {
    let product = state.1 &* 5
    let result = (product << 7 | product >> 57) &* 9
    let shifted = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= shifted
    state.3 = state.3 << 45 | state.3 >> 19
    return result
  }

  /// The next number in 0 ..< 1, a multiple of 2^-53.
  package mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
