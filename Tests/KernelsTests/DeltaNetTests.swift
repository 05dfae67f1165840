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
      var state = [Float](repeating: 0, count: KernelSet.deltaStateFloats(dimension: d))
      var exact = [Double](repeating: 0, count: d * d)
      // More than two chunks.
      for _ in 0..<40 {
        let norm = 1 / Float(d).squareRoot()
        let q = random.floats(d).map { $0 * norm }
        let k = random.floats(d).map { $0 * norm }
        let v = random.floats(d)
        let gate = Float.random(in: -2..<0, using: &random)
        let beta = Float.random(in: 0..<1, using: &random)
        var out = [Float](repeating: 0, count: d)
        steps(set, &state, q: q, k: k, v: v, gate: [gate], beta: [beta], into: &out)
        let expected = step(&exact, q: q, k: k, v: v, gate: gate, beta: beta)
        // Values of order one; d terms a sum, the error of tokens before decays with them.
        for (value, expected) in zip(out, expected) {
          #expect(abs(Double(value) - expected) < 2e-6)
        }
        for (value, expected) in zip(associations(state, d), exact) {
          #expect(abs(Double(value) - expected) < 2e-6)
        }
      }
    }
  }

  @Test("Tokens have the same bits however calls divide them", arguments: instructionSets)
  func manyTokens(set: InstructionSet) {
    var random = Random(seed: 32)
    for d in [5, 8, 24, 40, 128, 136] {
      let tokens = 75
      let (q, k) = (random.floats(tokens * d), random.floats(tokens * d).map { $0 * 0.1 })
      let v = random.floats(tokens * d)
      let gate = (0..<tokens).map { _ in Float.random(in: -2..<0, using: &random) }
      let beta = (0..<tokens).map { _ in Float.random(in: 0..<1, using: &random) }
      var whole = [Float](repeating: 0, count: KernelSet.deltaStateFloats(dimension: d))
      let fresh = whole
      var out = [Float](repeating: 0, count: tokens * d)
      steps(set, &whole, q: q, k: k, v: v, gate: gate, beta: beta, into: &out)
      // One, part of a chunk, several chunks, across their bounds.
      for lengths in [[1], [2], [3, 1], [8], [5, 11], [7, 40], [33, 1, 1]] {
        var state = fresh
        var (first, turn) = (0, 0)
        while first < tokens {
          let count = min(lengths[turn % lengths.count], tokens - first)
          let (range, own) = (first * d..<(first + count) * d, first..<first + count)
          var part = [Float](repeating: 0, count: count * d)
          steps(
            set, &state, q: Array(q[range]), k: Array(k[range]), v: Array(v[range]),
            gate: Array(gate[own]), beta: Array(beta[own]), into: &part)
          #expect(
            part.map(\.bitPattern) == out[range].map(\.bitPattern), "\(set), \(d), \(lengths)")
          (first, turn) = (first + count, turn + 1)
        }
        #expect(
          associations(state, d).map(\.bitPattern) == associations(whole, d).map(\.bitPattern),
          "\(set), \(d), \(lengths)")
      }
    }
  }

  @Test("What decays to nothing leaves nothing behind", arguments: instructionSets)
  func forget(set: InstructionSet) {
    var random = Random(seed: 33)
    let (d, tokens) = (16, 40)
    let (q, k) = (random.floats(tokens * d), random.floats(tokens * d))
    let v = random.floats(tokens * d)
    for (gate, forgotten) in [(Float(-1000), true), (-.infinity, true), (0, false)] {
      var gates = [Float](repeating: -0.1, count: tokens)
      gates[20] = gate
      let beta = [Float](repeating: 0.1, count: tokens)
      var state = [Float](repeating: 0, count: KernelSet.deltaStateFloats(dimension: d))
      var late = state
      var out = [Float](repeating: 0, count: tokens * d)
      var rest = [Float](repeating: 0, count: 20 * d)
      steps(set, &state, q: q, k: k, v: v, gate: gates, beta: beta, into: &out)
      let from = 20 * d
      steps(
        set, &late, q: Array(q[from...]), k: Array(k[from...]), v: Array(v[from...]),
        gate: Array(gates[20...]), beta: Array(beta[20...]), into: &rest)
      let differs = zip(out[from...], rest).contains { !(abs($0 - $1) <= 2e-6) }
      #expect(differs != forgotten, "\(set), \(gate)")
    }
  }

  private func associations(_ state: [Float], _ d: Int) -> [Float] {
    var out = [Float](repeating: 0, count: d * d)
    KernelSet.deltaAssociations(state: state, dimension: d, into: &out)
    return out
  }

  /// `deltaSteps` with arrays, `[tokens, dimension]` each, gates and strengths `[tokens]`.
  private func steps(
    _ set: InstructionSet, _ state: inout [Float], q: [Float], k: [Float], v: [Float],
    gate: [Float], beta: [Float], into out: inout [Float]
  ) {
    let d = v.count / gate.count
    q.withUnsafeBufferPointer { q in
      k.withUnsafeBufferPointer { k in
        v.withUnsafeBufferPointer { v in
          gate.withUnsafeBufferPointer { gate in
            beta.withUnsafeBufferPointer { beta in
              out.withUnsafeMutableBufferPointer { out in
                guard let q = q.baseAddress, let k = k.baseAddress, let v = v.baseAddress,
                  let first = gate.baseAddress, let beta = beta.baseAddress,
                  let out = out.baseAddress
                else { return }
                KernelSet(set).deltaSteps(
                  state: &state,
                  DeltaTokens(
                    count: gate.count, q: q, k: k, v: v, stride: d, gate: first, beta: beta,
                    gateStride: 1, out: out, outStride: d), dimension: d)
              }
            }
          }
        }
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
