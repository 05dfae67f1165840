import Kernels
import Tensors
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

@Suite struct AttentionTests {
  /// Heads that share keys and values; rows end where their memory does.
  struct Problem {
    let (type, size, positions, heads): (KeyValueType, Int, Int, Int)
    let (queries, keys, values): ([Float], [UInt8], [UInt8])

    init(
      _ type: KeyValueType, size: Int, positions: Int, heads: Int, spread: Float = 1,
      random: inout Random
    ) {
      (self.type, self.size, self.positions, self.heads) = (type, size, positions, heads)
      queries = random.floats(heads * size).map { $0 * spread }
      keys = Self.rows(random.floats(positions * size).map { $0 * spread }, type, size)
      values = Self.rows(random.floats(positions * size), type, size)
    }

    static func rows(_ floats: [Float], _ type: KeyValueType, _ size: Int) -> [UInt8] {
      let rowBytes = type.rowBytes(size: size)
      var bytes = [UInt8](repeating: 0, count: floats.count / size * rowBytes)
      bytes.withUnsafeMutableBytes { bytes in
        floats.withUnsafeBufferPointer { floats in
          guard let row = bytes.baseAddress, let x = floats.baseAddress else { return }
          for index in 0..<floats.count / size {
            KernelSet.store(x + index * size, size: size, as: type, into: row + index * rowBytes)
          }
        }
      }
      return bytes
    }

    /// What `set` makes of some of the heads; with `tokens` they are those of so many tokens, of which the
    /// last one sees all positions.
    func run(_ set: InstructionSet, heads range: Range<Int>? = nil, tokens: Int = 1) -> [Float] {
      let range = range ?? 0..<heads
      let perToken = range.count / tokens
      var out = [Float](repeating: .nan, count: range.count * size)
      let count = KernelSet.attentionScratchCount(queries: range.count, size: size)
      let scratch = UnsafeMutableRawPointer.allocate(byteCount: count * 4, alignment: 64)
      defer { scratch.deallocate() }
      queries.withUnsafeBufferPointer { queries in
        keys.withUnsafeBytes { keys in
          values.withUnsafeBytes { values in
            guard let keys = keys.baseAddress, let values = values.baseAddress,
              let query = queries.baseAddress
            else { return }
            KernelSet(set).attend(
              KeyValueView(
                type: type, keys: keys, values: values, positions: positions - tokens + 1,
                size: size),
              queries: KernelSet.Queries(
                query + range.lowerBound * size, heads: perToken, tokens: tokens,
                stride: perToken * size),
              scale: 1 / Float(size).squareRoot(), into: &out,
              scratch: scratch.bindMemory(to: Float.self, capacity: count))
          }
        }
      }
      return out
    }

    /// Rows as the definition of their type has them.
    func floats(_ bytes: [UInt8]) -> [Float] {
      bytes.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return [] }
        let view = MatrixView(type: type.tensorType, rows: positions, columns: size, base: base)
        return (0..<positions).flatMap { position in
          var row = [Float](repeating: 0, count: size)
          KernelSet(.scalar).dequantize(view, row: position, into: &row)
          return row
        }
      }
    }

    /// Softmax in two passes, in double precision.
    var expected: [Double] {
      let (keys, values) = (floats(keys), floats(values))
      let scale = Double(1 / Float(size).squareRoot())
      return (0..<heads).flatMap { head in
        let scores = (0..<positions).map { position in
          (0..<size).reduce(0.0) {
            $0 + Double(queries[head * size + $1]) * Double(keys[position * size + $1])
          } * scale
        }
        let top = scores.max() ?? 0
        let weights = scores.map { exp($0 - top) }
        let total = weights.reduce(0, +)
        return (0..<size).map { i in
          (0..<positions).reduce(0.0) { $0 + weights[$1] * Double(values[$1 * size + i]) } / total
        }
      }
    }
  }

  @Test("Attention is a softmax over scaled scores", arguments: instructionSets)
  func definition(set: InstructionSet) {
    var random = Random(seed: 50)
    for type in KeyValueType.allCases {
      for (size, positions, heads) in [
        (32, 1, 1), (64, 47, 3), (64, 48, 4), (96, 49, 5), (128, 200, 16), (256, 97, 7),
        (20, 100, 2), (7, 51, 9), (1, 3, 1),
      ] where type.isPossible(size: size) {
        let problem = Problem(
          type, size: size, positions: positions, heads: heads, random: &random)
        for (value, expected) in zip(problem.run(set), problem.expected) {
          #expect(abs(Double(value) - expected) < 1e-5, "\(type) \(size) \(positions) \(heads)")
        }
      }
    }
  }

  @Test("A head has the same bits whatever other heads are in the call", arguments: instructionSets)
  func grouping(set: InstructionSet) {
    var random = Random(seed: 51)
    for type in KeyValueType.allCases {
      let problem = Problem(type, size: 64, positions: 131, heads: 11, random: &random)
      let all = problem.run(set)
      for count in [1, 3, 4, 5] {
        let parts = stride(from: 0, to: 11, by: count).flatMap {
          problem.run(set, heads: $0..<min($0 + count, 11))
        }
        #expect(parts == all, "\(type) \(count)")
      }
    }
  }

  @Test("A token has the same bits whatever others are in the call", arguments: instructionSets)
  func tokens(set: InstructionSet) {
    var random = Random(seed: 55)
    for type in KeyValueType.allCases {
      for (heads, tokens, positions) in [(8, 5, 98), (3, 50, 60), (1, 2, 49)] {
        let problem = Problem(
          type, size: 64, positions: positions, heads: heads * tokens, random: &random)
        let apart = (0..<tokens).flatMap { token in
          problem.seeing(positions - tokens + 1 + token)
            .run(set, heads: token * heads..<(token + 1) * heads)
        }
        #expect(problem.run(set, tokens: tokens) == apart, "\(type) \(heads) \(tokens)")
      }
    }
  }

  @Test("A later token leaves an earlier one's answer alone", arguments: instructionSets)
  func future(set: InstructionSet) {
    var random = Random(seed: 56)
    let problem = Problem(.f16, size: 64, positions: 50, heads: 8, random: &random)
    let bad = Problem.rows([Float](repeating: .nan, count: 64), .f16, 64)
    let changed = problem.replacing(
      keys: Array(problem.keys.dropLast(bad.count)) + bad,
      values: Array(problem.values.dropLast(bad.count)) + bad)
    let result = changed.run(set, tokens: 2)
    #expect(Array(result.prefix(4 * 64)) == Array(problem.run(set, tokens: 2).prefix(4 * 64)))
    #expect(result.suffix(4 * 64).allSatisfy { $0.isNaN })
  }

  @Test("Scores far apart leave the largest one's value", arguments: instructionSets)
  func extremes(set: InstructionSet) {
    var random = Random(seed: 52)
    let problem = Problem(
      .f16, size: 64, positions: 300, heads: 4, spread: 200, random: &random)
    for (value, expected) in zip(problem.run(set), problem.expected) {
      #expect(abs(Double(value) - expected) < 1e-3)
    }
  }

  @Test("What is no number stays none", arguments: instructionSets)
  func notANumber(set: InstructionSet) {
    for type in KeyValueType.allCases {
      for bad in [Float.nan, .infinity] {
        var row = [Float](repeating: 0.5, count: 32)
        row[9] = bad
        var random = Random(seed: 53)
        let good = random.floats(32 * 60)
        let rows = Problem.rows(Array(good.prefix(32 * 59)) + row, type, 32)
        let problem = Problem(type, size: 32, positions: 60, heads: 1, random: &random)
        let result = problem.replacing(values: rows).run(set)
        #expect(!result[9].isFinite, "\(type) \(bad)")
        // An infinite key may score minus infinity, which is a weight of 0.
        guard bad.isNaN else { continue }
        #expect(problem.replacing(keys: rows).run(set).allSatisfy { $0.isNaN }, "\(type)")
      }
    }
  }

  @Test("Half precision rounds to the nearest, ties to even")
  func halves() {
    var random = Random(seed: 54)
    var values: [Float] = [
      0, -0.0, 1, 65504, 65519.99, 65520, 1e9, 0x1p-24, 0x1p-25, 0x1.8p-25, 0x1p-14, 0x1.ffcp-15,
      1 + 0x1p-11, 1 + 0x3p-11, .infinity, -.infinity, .leastNonzeroMagnitude,
    ]
    values += (0..<20_000).map { _ in
      Float(bitPattern: UInt32.random(in: 0..<0x7F80_0000, using: &random))
    }
    values += (0..<20_000).map { _ in Float.random(in: -70_000...70_000, using: &random) }
    values += (0..<20_000).map { _ in Float.random(in: -1e-4...1e-4, using: &random) }
    var halves = [UInt16](repeating: 0, count: values.count)
    halves.withUnsafeMutableBytes { halves in
      guard let base = halves.baseAddress else { return }
      KernelSet.store(values, size: values.count, as: .f16, into: base)
    }
    for (value, half) in zip(values, halves) {
      #expect(half == Self.nearestHalf(value), "\(value)")
    }
  }

  /// The binary16 nearest to `value`, by its definition.
  private static func nearestHalf(_ value: Float) -> UInt16 {
    let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
    let magnitude = Double(value.magnitude)
    guard magnitude < 65520 else { return sign | 0x7C00 }
    let exponent = max(-14, magnitude > 0 ? Int(magnitude.exponent) : -14)
    let unit = Double(sign: .plus, exponent: exponent - 10, significand: 1)
    let steps = (magnitude / unit).rounded(.toNearestOrEven)
    // A normal number's leading bit counts 1024 steps, which adds 1 to the exponent.
    return sign | UInt16(Int(steps) + (exponent + 14) * 1024)
  }
}

extension AttentionTests.Problem {
  private init(_ other: Self, keys: [UInt8], values: [UInt8], positions: Int? = nil) {
    (type, size, heads) = (other.type, other.size, other.heads)
    self.positions = positions ?? other.positions
    (queries, self.keys, self.values) = (other.queries, keys, values)
  }

  /// The same over the first `count` positions.
  func seeing(_ count: Int) -> Self { Self(self, keys: keys, values: values, positions: count) }

  /// The same with other rows.
  func replacing(keys: [UInt8]? = nil, values: [UInt8]? = nil) -> Self {
    Self(self, keys: keys ?? self.keys, values: values ?? self.values)
  }
}
