import CQuantizers
import FileIO
import Quantizers
import TestSupport
import Tensors
import Testing

@Suite("Encoding")
struct EncodingTests {
  /// The bytes of one encoder function for `rows`.
  private func bytes(
    _ encoder:
      @convention(c) (
        UnsafePointer<Float>, UnsafePointer<Float>?, Int, UnsafeMutablePointer<UInt8>
      ) -> Void, _ rows: Rows, type: TensorType, weights: [Float]?
  ) -> [UInt8] {
    let rowBytes = type.rowBytes(columns: rows.columns)
    var blocks = [UInt8](repeating: 0, count: rows.count * rowBytes)
    for row in 0..<rows.count {
      let values = Array(rows.values[row * rows.columns..<(row + 1) * rows.columns])
      blocks[row * rowBytes..<(row + 1) * rowBytes].withUnsafeMutableBufferPointer { target in
        guard let base = target.baseAddress else { return }
        encoder(values, weights, rows.columns, base)
      }
    }
    return blocks
  }

  @Test("All instruction sets give the same bytes", arguments: Quantizer.types)
  func instructionSets(type: TensorType) throws {
    let plain = try #require(cq_plain_encoder(type.id))
    guard let avx2 = cq_avx2_encoder(type.id) else { return }
    let weights = SyntheticRows.importance.map { $0 + 0.1 }
    var tiny = SyntheticRows.make("heavy", rows: 4)
    for index in tiny.values.indices { tiny.values[index] *= 1e-30 }
    let inputs = SyntheticRows.names.map { SyntheticRows.make($0) } + [tiny]
    for rows in inputs {
      for choice in [nil, weights] {
        #expect(
          bytes(plain, rows, type: type, weights: choice)
            == bytes(avx2, rows, type: type, weights: choice))
      }
    }
  }

  /// Digests of the blocks of the `heavy` rows without and with weights: the same on every machine.
  static let digests: [(TensorType, String, String)] = [
    (.q8_0, "71d4f6f59f380307d34911c59fbeaee3", "71d4f6f59f380307d34911c59fbeaee3"),
    (.q6_K, "bb48fb0b200e91a2cd9eda8c9c2c6cf7", "dafacc19624f38f0305479de00d050f5"),
    (.q5_K, "6b5dc19d4212eac92bd14cd9df139e5c", "cfe64bdff25314cea4bfbaf1d2815aa7"),
    (.q4_K, "483f0964f637c113374fef30fc9f9826", "a9578a8c020ef2cb9bee47f49a16ac17"),
    (.iq4_XS, "18f6e3e5dc870e74e1edec601e03eacf", "7fd794001bf4112706ef9a669ac4dbe5"),
    (.iq4_NL, "53e9bec7bca9df71905d31556482482c", "0dec49c667f51f47ccc56755a7d2e459"),
    (.q4_0, "4cc5e1f9f1b7b0512f42f124abbfdc06", "1b3c0070b50381598a2a0f70c1fc057f"),
    (.mxfp4, "cc977060720423f2a2a6261e572ac4a8", "2ac41cd650b373f21916c9a71da94a4b"),
    (.iq3_XXS, "aa6901f54ec379b65f633dafb3a71ba5", "1ca1232c77614b91f1f7f57bb9240ff0"),
  ]

  @Test("The bytes are those of every other machine", arguments: Quantizer.types)
  func portableBytes(type: TensorType) throws {
    let rows = SyntheticRows.make("heavy")
    let weights = ColumnWeights(meanSquares: SyntheticRows.importance)
    func digest(_ bytes: [UInt8]) -> String {
      bytes.withUnsafeBytes { XXH3.hash128($0).description }
    }
    let expected = try #require(Self.digests.first { $0.0 == type })
    #expect(digest(try rows.encoded(type)) == expected.1)
    #expect(digest(try rows.encoded(type, weights: weights)) == expected.2)
  }

  @Test("Zeros stay zeros", arguments: Quantizer.types)
  func zeros(type: TensorType) throws {
    let rows = Rows(values: [Float](repeating: 0, count: 512), columns: 512)
    #expect(try rows.roundTrip(type).values.allSatisfy { $0 == 0 })
    var half = SyntheticRows.make("bell", rows: 1)
    half.values.replaceSubrange(256..<768, with: repeatElement(0, count: 512))
    #expect(try half.roundTrip(type).values[256..<768].allSatisfy { $0 == 0 })
  }

  @Test("Extremes decode to finite numbers of their sign and size", arguments: Quantizer.types)
  func extremes(type: TensorType) throws {
    for magnitude: Float in [65504, 1e4, 1, 1e-3, 1e-5, 1e-7, 1e-20, 1e-38, .leastNonzeroMagnitude]
    {
      var rows = SyntheticRows.make("heavy", rows: 2)
      let most = rows.values.reduce(0) { max($0, abs($1)) }
      rows.values = rows.values.map { max(-magnitude, min(magnitude, $0 / most * magnitude)) }
      let decoded = try rows.roundTrip(type)
      #expect(decoded.values.allSatisfy { $0.isFinite })
      let energy = rows.error(of: Rows(values: rows.values.map { _ in 0 }, columns: rows.columns))
      // What is far below the scales becomes zero; nothing becomes worse than that.
      #expect(rows.error(of: decoded) <= energy * 1.0001, "\(type) at \(magnitude)")
      if magnitude >= 1e-3 {
        #expect(rows.error(of: decoded) <= energy * 0.1, "\(type) at \(magnitude)")
      }
    }
  }

  @Test("Single outliers, constants and alternating signs", arguments: Quantizer.types)
  func patterns(type: TensorType) throws {
    let patterns: [(Int) -> Float] = [
      { $0 == 77 ? 1000 : 0 }, { $0 == 300 ? -3 : 1e-4 }, { _ in 0.5 }, { _ in -0.5 },
      { $0 % 2 == 0 ? 1 : -1 }, { $0 < 256 ? 1e-4 : 1 }, { Float($0) }, { -Float($0) },
    ]
    for (index, pattern) in patterns.enumerated() {
      let rows = Rows(values: (0..<512).map(pattern), columns: 512)
      let energy = rows.error(of: Rows(values: rows.values.map { _ in 0 }, columns: 512))
      let error = rows.error(of: try rows.roundTrip(type))
      // IQ3_XXS has no level near zero: beside an outlier every zero costs.
      let bar = type == .iq3_XXS ? 0.15 : 0.05
      #expect(error <= energy * bar, "\(type), pattern \(index): \(error / energy)")
    }
  }

  @Test("What Q8_0 holds is encoded to the same bytes again")
  func idempotent() throws {
    let blocks = try SyntheticRows.make("heavy").encoded(.q8_0)
    let decoded = Rows(decoding: blocks, type: .q8_0, columns: SyntheticRows.columns)
    #expect(try decoded.encoded(.q8_0) == blocks)
  }

  @Test("What no block can hold is an error with its place", arguments: Quantizer.types)
  func unencodable(type: TensorType) throws {
    for value: Float in [.nan, .infinity, -.infinity, 65505, -1e30] {
      var rows = SyntheticRows.make("bell", rows: 3)
      rows.values[1024 + 517] = value
      let error = #expect(throws: QuantizerError.self) { try rows.encoded(type) }
      #expect(error?.code == .unencodable)
      #expect(
        error?.message
          == "row 1, column 517: expected a weight of magnitude 65504.0 at most for \(type), found \(value)"
      )
    }
  }

  @Test("There is no quantiser to other types")
  func otherTypes() {
    for type in TensorType.all where !Quantizer.types.contains(type) {
      #expect(Quantizer(type) == nil, "\(type)")
      #expect(cq_encoder(type.id) == nil, "\(type)")
    }
  }
}
