import Kernels
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

@Suite struct VectorTests {
  static let sizes = [1, 2, 7, 8, 9, 15, 16, 31, 32, 33, 100, 255, 256, 1000, 4096]

  /// Whether `value` is `expected` up to `relative`, or `absolute` near zero.
  static func isClose(
    _ value: Float, _ expected: Double, relative: Double, absolute: Double = 0x1p-140
  ) -> Bool {
    abs(Double(value) - expected) <= abs(expected) * relative + absolute
  }

  static func sigmoid(_ x: Float) -> Double { 1 / (1 + exp(-Double(x))) }

  /// A sum of `count` float32 terms in 32 chains, and a few more roundings.
  static func sumError(_ count: Int) -> Double { (Double(count / 32) + 8) * 0x1p-24 }

  @Test("The dot product is the sum of products", arguments: instructionSets)
  func dot(set: InstructionSet) {
    var random = Random(seed: 20)
    for count in [0] + Self.sizes {
      let a = random.floats(count)
      let b = random.floats(count)
      let terms = zip(a, b).map { Double($0) * Double($1) }
      let value = KernelSet(set).dot(a, b, count: count)
      let magnitude = terms.reduce(0) { $0 + abs($1) }
      #expect(abs(Double(value) - terms.reduce(0, +)) <= Self.sumError(count) * magnitude)
    }
  }

  @Test("Scaled and plain vectors are added", arguments: instructionSets)
  func addition(set: InstructionSet) {
    var random = Random(seed: 21)
    for count in Self.sizes {
      let x = random.floats(count)
      let y = random.floats(count)
      var scaled = y
      KernelSet(set).addScaled(&scaled, 0.7, x, count: count)
      var sum = y
      KernelSet(set).add(&sum, x, count: count)
      for i in 0..<count {
        let exact = Double(y[i]) + Double(Float(0.7)) * Double(x[i])
        #expect(abs(Double(scaled[i]) - exact) <= 0x1p-23)
        #expect(sum[i] == y[i] + x[i])
      }
    }
  }

  @Test("RMSNorm divides by the root of the mean square", arguments: instructionSets)
  func rmsNorm(set: InstructionSet) {
    var random = Random(seed: 22)
    for count in Self.sizes {
      let x = random.floats(count)
      let weight = random.floats(count)
      let mean = x.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(count)
      let scale = 1 / (mean + Double(Float(1e-6))).squareRoot()
      var out = [Float](repeating: 0, count: count)
      KernelSet(set).rmsNorm(x, weight: weight, epsilon: 1e-6, into: &out, count: count)
      var inPlace = x
      inPlace.withUnsafeMutableBufferPointer {
        guard let p = $0.baseAddress else { return }
        KernelSet(set).rmsNorm(p, weight: nil, epsilon: 1e-6, into: p, count: count)
      }
      for i in 0..<count {
        let plain = Double(x[i]) * scale
        #expect(Self.isClose(inPlace[i], plain, relative: Self.sumError(count)))
        #expect(Self.isClose(out[i], plain * Double(weight[i]), relative: Self.sumError(count)))
      }
    }
  }

  @Test("L2 normalisation divides by the norm, and zeros stay zeros", arguments: instructionSets)
  func l2Normalize(set: InstructionSet) {
    var random = Random(seed: 23)
    for count in Self.sizes {
      let x = random.floats(count)
      let sum = x.reduce(0.0) { $0 + Double($1) * Double($1) }
      let scale = 1 / (sum + Double(Float(1e-6))).squareRoot()
      var out = [Float](repeating: 0, count: count)
      KernelSet(set).l2Normalize(x, epsilon: 1e-6, into: &out, count: count)
      for i in 0..<count {
        #expect(Self.isClose(out[i], Double(x[i]) * scale, relative: Self.sumError(count)))
      }
      let zeros = [Float](repeating: 0, count: count)
      KernelSet(set).l2Normalize(zeros, epsilon: 1e-6, into: &out, count: count)
      #expect(out == zeros)
    }
  }

  @Test("Gated activations follow the sigmoid over its whole range", arguments: instructionSets)
  func gates(set: InstructionSet) {
    var random = Random(seed: 24)
    for count in Self.sizes {
      var gate = random.floats(count).map { $0 * 20 }
      for (i, value) in [Float(0), 87, -87, 90, -90, 1e30, -1e30].enumerated() where i < count {
        gate[count - 1 - i] = value
      }
      let up = random.floats(count)
      var silu = [Float](repeating: 0, count: count)
      KernelSet(set).siluMultiply(gate, up, into: &silu, count: count)
      var gated = up
      KernelSet(set).sigmoidMultiply(&gated, gate, count: count)
      for i in 0..<count {
        let s = Self.sigmoid(gate[i])
        // The exponential is good to 2 ulp, each further step to half an ulp. Gates below -88 are
        // taken as -88.3: the sigmoid is then 5e-39 where less would be right.
        let floor = gate[i] < -88 ? 5e-39 : 0x1p-140
        #expect(Self.isClose(gated[i], s * Double(up[i]), relative: 0x1p-21, absolute: floor))
        #expect(
          Self.isClose(
            silu[i], Double(gate[i]) * s * Double(up[i]), relative: 0x1p-21,
            absolute: floor * Double(max(1, abs(gate[i])))))
      }
    }
  }

  @Test("An activation does not depend on its place in the vector", arguments: instructionSets)
  func position(set: InstructionSet) {
    var random = Random(seed: 25)
    let gate = random.floats(19)
    let up = random.floats(19)
    var together = [Float](repeating: 0, count: 19)
    KernelSet(set).siluMultiply(gate, up, into: &together, count: 19)
    for i in 0..<19 {
      var alone: Float = 0
      KernelSet(set).siluMultiply([gate[i]], [up[i]], into: &alone, count: 1)
      #expect(alone.bitPattern == together[i].bitPattern)
    }
  }

  @Test("Softmax sums to one and ignores masked positions", arguments: instructionSets)
  func softmax(set: InstructionSet) {
    var random = Random(seed: 26)
    for count in Self.sizes {
      var x = random.floats(count).map { $0 * 30 + 500 }
      if count > 2 { x[count / 2] = -.infinity }
      let top = Double(x.max() ?? 0)
      let sum = x.reduce(0) { $0 + exp(Double($1) - top) }
      var out = x
      KernelSet(set).softmax(&out, count: count)
      for i in 0..<count {
        let exact = exp(Double(x[i]) - top) / sum
        #expect(Self.isClose(out[i], exact, relative: 0x1p-21))
      }
      if count > 2 { #expect(out[count / 2] == 0) }
    }
  }

  @Test("A NaN is never hidden", arguments: instructionSets)
  func notANumber(set: InstructionSet) {
    for place in [0, 9] {
      var x = [Float](repeating: 1, count: 10)
      x[place] = .nan
      let ones = [Float](repeating: 1, count: 10)
      var out = x
      KernelSet(set).softmax(&out, count: 10)
      #expect(out.allSatisfy { $0.isNaN })
      KernelSet(set).siluMultiply(x, ones, into: &out, count: 10)
      #expect(out[place].isNaN && out.filter { $0.isNaN }.count == 1)
      out = ones
      KernelSet(set).sigmoidMultiply(&out, x, count: 10)
      #expect(out[place].isNaN && out.filter { $0.isNaN }.count == 1)
      KernelSet(set).rmsNorm(x, weight: nil, epsilon: 1e-6, into: &out, count: 10)
      #expect(out.allSatisfy { $0.isNaN })
    }
  }

  @Test("Rotation pairs element i with element i + half", arguments: instructionSets)
  func rotate(set: InstructionSet) {
    var random = Random(seed: 27)
    for half in [1, 3, 8, 16, 33] {
      let angles = random.floats(half).map { Double($0) * 4 }
      let cosines = angles.map { Float(cos($0)) }
      let sines = angles.map { Float(sin($0)) }
      let x = random.floats(2 * half + 5)
      var out = x
      KernelSet(set).rotate(&out, cosines: cosines, sines: sines, rotatedCount: 2 * half)
      for i in 0..<half {
        let (a, b) = (Double(x[i]), Double(x[i + half]))
        #expect(abs(Double(out[i]) - (a * cos(angles[i]) - b * sin(angles[i]))) <= 0x1p-21)
        #expect(abs(Double(out[i + half]) - (a * sin(angles[i]) + b * cos(angles[i]))) <= 0x1p-21)
      }
      #expect(out[(2 * half)...] == x[(2 * half)...])
    }
  }
}
