import Kernels
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

@Suite struct DeltaNetTests {
  @Test("The convolution weighs the oldest row first", arguments: instructionSets)
  func convolve(set: InstructionSet) {
    var random = Random(seed: 30)
    for (channels, width) in [(1, 4), (7, 4), (8, 4), (9, 3), (100, 4), (33, 1), (24, 5)] {
      let taps = random.floats(channels * width)
      let history = random.floats(channels * width)
      var out = [Float](repeating: 0, count: channels)
      history.withUnsafeBufferPointer { history in
        guard let base = history.baseAddress else { return }
        let rows = (0..<width).map { base + $0 * channels }
        KernelSet(set).convolveSilu(
          taps: taps, history: rows, width: width, into: &out, channels: channels)
      }
      for c in 0..<channels {
        let sum = (0..<width).reduce(0.0) {
          $0 + Double(taps[c * width + $1]) * Double(history[$1 * channels + c])
        }
        #expect(abs(Double(out[c]) - sum / (1 + exp(-sum))) <= 0x1p-20)
      }
    }
  }

  @Test("The delta rule follows its four equations over several tokens", arguments: instructionSets)
  func deltaStep(set: InstructionSet) {
    var random = Random(seed: 31)
    for d in [1, 5, 8, 24, 32, 64, 128] {
      var state = [Float](repeating: 0, count: d * d)
      var exact = [Double](repeating: 0, count: d * d)
      for _ in 0..<8 {
        let norm = 1 / Float(d).squareRoot()
        let q = random.floats(d).map { $0 * norm }
        let k = random.floats(d).map { $0 * norm }
        let v = random.floats(d)
        let gate = Float.random(in: -2..<0, using: &random)
        let beta = Float.random(in: 0..<1, using: &random)
        var out = [Float](repeating: 0, count: d)
        KernelSet(set).deltaStep(
          state: &state, q: q, k: k, v: v, gate: gate, beta: beta, into: &out, dimension: d)
        let expected = step(&exact, q: q, k: k, v: v, gate: gate, beta: beta)
        // Values of order one; d terms a sum, eight tokens of carried error.
        for (value, expected) in zip(out, expected) {
          #expect(abs(Double(value) - expected) < 2e-6)
        }
        for (value, expected) in zip(state, exact) { #expect(abs(Double(value) - expected) < 2e-6) }
      }
    }
  }

  /// One step in double precision; `state` is [key index, value index].
  private func step(
    _ state: inout [Double], q: [Float], k: [Float], v: [Float], gate: Float, beta: Float
  ) -> [Double] {
    let d = v.count
    for i in state.indices { state[i] *= exp(Double(gate)) }
    for j in 0..<d {
      let recalled = (0..<d).reduce(0.0) { $0 + state[$1 * d + j] * Double(k[$1]) }
      let u = Double(beta) * (Double(v[j]) - recalled)
      for i in 0..<d { state[i * d + j] += Double(k[i]) * u }
    }
    return (0..<d).map { j in
      (0..<d).reduce(0.0) { $0 + state[$1 * d + j] * Double(q[$1]) } / Double(d).squareRoot()
    }
  }
}
