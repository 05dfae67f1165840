import FileIO
import GGUF
import Quantizers
import TestSupport
import Tensors
import Testing

@Suite("Importance matrix")
struct ImportanceMatrixTests {
  typealias Content = (name: String, type: TensorType, dimensions: [UInt64], values: [Float])

  /// Writes a GGUF of these tensors; values of other types than F32 are zeros.
  private func write(_ path: String, kind: String? = "imatrix", _ tensors: [Content]) throws {
    var metadata = GGUFMetadata()
    if let kind { metadata.set(.string(GGUFString(kind)), for: "general.type") }
    var writer = GGUFWriter(metadata: metadata)
    for tensor in tensors {
      writer.add(tensor.name, type: tensor.type, dimensions: tensor.dimensions)
    }
    var position = 0
    try writer.write(to: try File.creating(path)) { tensor, emit in
      let content = tensors[position]
      position += 1
      var bytes = content.values.flatMap { value in
        withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
      }
      if content.type != .f32 { bytes = [UInt8](repeating: 0, count: Int(tensor.byteCount)) }
      try emit(bytes.span.bytes)
    }
  }

  private func tensor(_ name: String, _ dimensions: [UInt64]) -> GGUFTensor {
    GGUFTensor(name: name, type: .bf16, dimensions: dimensions, shard: 0, offset: 0, byteCount: 0)
  }

  @Test("The file of llama-imatrix has an entry for every matrix, with experts apart")
  func real() throws {
    let matrix = try ImportanceMatrix(contentsOf: Fixtures.path("quantizers/importance.gguf"))
    #expect(
      matrix.names.sorted() == [
        "blk.0.attn_qkv.weight", "blk.0.ffn_gate_exps.weight", "blk.1.ssm_out.weight",
        "blk.7.ffn_down_exps.weight", "blk.7.ffn_down_shexp.weight",
      ])
    let experts = tensor("blk.0.ffn_gate_exps.weight", [256, 48, 2])
    let first = try #require(try matrix.weights(of: experts, expert: 0))
    let second = try #require(try matrix.weights(of: experts, expert: 1))
    #expect(first.columns == 256)
    let rows = SyntheticRows.make("heavy", rows: 1)
    let part = Rows(values: Array(rows.values[0..<256]), columns: 256)
    #expect(try part.encoded(.iq4_XS, weights: first) != part.encoded(.iq4_XS, weights: second))
    #expect(try matrix.weights(of: tensor("token_embd.weight", [256, 64]), expert: 0) == nil)
  }

  @Test("Weights are sums over counts; an expert that was never met has none")
  func weights() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("matrix.gguf")
    let squares = SyntheticRows.importance
    try write(
      path,
      [
        (
          "a.weight.in_sum2", .f32, [1024, 3],
          squares.map { $0 * 8 } + squares.map { _ in 0 } + squares
        ),
        ("a.weight.counts", .f32, [1, 3], [8, 0, 1]),
        ("b.weight.in_sum2", .f32, [1024], squares.map { $0 * 2 }),
        ("b.weight.counts", .f32, [1], [2]),
      ])
    let matrix = try ImportanceMatrix(contentsOf: path)
    #expect(matrix.count == 2)
    let rows = SyntheticRows.make("heavy", rows: 2)
    let expected = try rows.encoded(.q4_K, weights: ColumnWeights(meanSquares: squares))
    let a = tensor("a.weight", [1024, 2, 3])
    #expect(try rows.encoded(.q4_K, weights: matrix.weights(of: a, expert: 0)) == expected)
    #expect(try matrix.weights(of: a, expert: 1) == nil)
    #expect(try rows.encoded(.q4_K, weights: matrix.weights(of: a, expert: 2)) == expected)
    // One sum serves all experts.
    let b = tensor("b.weight", [1024, 2, 5])
    #expect(try rows.encoded(.q4_K, weights: matrix.weights(of: b, expert: 4)) == expected)
  }

  @Test("Another model's shape is named")
  func otherShape() throws {
    let matrix = try ImportanceMatrix(contentsOf: Fixtures.path("quantizers/importance.gguf"))
    for dimensions: [UInt64] in [[512, 48, 2], [256, 48, 24], [256, 48]] {
      let error = #expect(throws: QuantizerError.self) {
        try matrix.weights(of: tensor("blk.0.ffn_gate_exps.weight", dimensions), expert: 0)
      }
      #expect(error?.code == .otherShape)
      #expect(error?.message.hasSuffix("the importance matrix is another model's") == true)
    }
  }

  struct Bad: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var kind: String? = "imatrix"
    let tensors: [Content]
    let message: String
  }

  static let bad: [Bad] = [
    Bad(
      testDescription: "a model", kind: "model", tensors: [("a", .f32, [1], [0])],
      message: "metadata key 'general.type': expected 'imatrix' in one file, found 'model'"),
    Bad(
      testDescription: "no type", kind: nil, tensors: [("a", .f32, [1], [0])],
      message: "metadata key 'general.type': expected 'imatrix' in one file, found none"),
    Bad(
      testDescription: "no entries", tensors: [("a", .f32, [1], [0])],
      message: "found none of them among 1; the matrix is empty"),
    Bad(
      testDescription: "sums without counts", tensors: [("a.in_sum2", .f32, [2], [0, 0])],
      message: "tensor 'a.in_sum2': expected a.counts beside it, found none"),
    Bad(
      testDescription: "counts without sums", tensors: [("a.counts", .f32, [2], [0, 0])],
      message: "tensor 'a.counts': expected a.in_sum2 beside it, found none"),
    Bad(
      testDescription: "counts of other experts",
      tensors: [
        ("a.in_sum2", .f32, [2, 3], [0, 0, 0, 0, 0, 0]), ("a.counts", .f32, [1, 2], [1, 1]),
      ],
      message: "tensor 'a.counts': expected 3, as 'a.in_sum2' has sums for so many experts, found 2"
    ),
    Bad(
      testDescription: "another element type",
      tensors: [("a.in_sum2", .f16, [2], []), ("a.counts", .f32, [1], [1])],
      message: "tensor 'a.in_sum2': expected type F32, found F16"),
    Bad(
      testDescription: "a negative sum",
      tensors: [
        ("a.in_sum2", .f32, [2, 2], [1, 1, 1, -1]), ("a.counts", .f32, [1, 2], [1, 1]),
      ],
      message: "tensor 'a.in_sum2': element 3: expected a number from 0, found -1.0"),
    Bad(
      testDescription: "a sum that is no number",
      tensors: [("a.in_sum2", .f32, [2], [1, .nan]), ("a.counts", .f32, [1], [1])],
      message: "tensor 'a.in_sum2': element 1: expected a number from 0, found nan"),
    Bad(
      testDescription: "an infinite count",
      tensors: [("a.in_sum2", .f32, [2], [1, 1]), ("a.counts", .f32, [1], [.infinity])],
      message: "tensor 'a.counts': element 0: expected a number from 0, found inf"),
    Bad(
      testDescription: "too many columns",
      tensors: [
        ("a.in_sum2", .f32, [1 << 21], [Float](repeating: 1, count: 1 << 21)),
        ("a.counts", .f32, [1], [1]),
      ],
      message: "expected at most 1048576 columns and 65536 experts, found 2097152 and 1"),
  ]

  @Test("Files that cannot be are refused with the place", arguments: bad)
  func hostile(_ item: Bad) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("matrix.gguf")
    try write(path, kind: item.kind, item.tensors)
    let error = #expect(throws: QuantizerError.self) { try ImportanceMatrix(contentsOf: path) }
    #expect(error?.message.hasPrefix(path) == true)
    #expect(error?.message.contains(item.message) == true, "\(error?.message ?? "")")
  }

  @Test("Numbers at the ends of their range do no harm")
  func numbersAtTheEnds() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("matrix.gguf")
    var sums = [Float](repeating: .greatestFiniteMagnitude, count: 1024)
    for index in 0..<512 { sums[index] = .leastNonzeroMagnitude }
    try write(
      path,
      [
        ("a.in_sum2", .f32, [1024], sums), ("a.counts", .f32, [1], [.leastNonzeroMagnitude]),
        ("b.in_sum2", .f32, [1024], sums), ("b.counts", .f32, [1], [.greatestFiniteMagnitude]),
      ])
    let matrix = try ImportanceMatrix(contentsOf: path)
    for name in ["a", "b"] {
      let weights = try matrix.weights(of: tensor(name, [1024, 4]), expert: 0)
      let rows = SyntheticRows.make("heavy", rows: 4)
      for type in Quantizer.types {
        let decoded = try rows.roundTrip(type, weights: weights)
        #expect(decoded.values.allSatisfy { $0.isFinite }, "\(type)")
      }
    }
  }

  @Test("A file of the older form, a cut file and no file are errors that say so")
  func otherFiles() throws {
    let directory = try TemporaryDirectory()
    let old = directory.file("old.dat")
    try AtomicFile.write([UInt8](repeating: 1, count: 64), to: old)
    let error = #expect(throws: QuantizerError.self) { try ImportanceMatrix(contentsOf: old) }
    #expect(error?.code == .notAnImportanceMatrix)
    #expect(error?.message.contains("llama-imatrix --in-file") == true)
    let whole = try File.contents(Fixtures.path("quantizers/importance.gguf"), atMost: 1 << 20)
    let cut = directory.file("cut.gguf")
    for length in stride(from: 24, to: whole.count - 32, by: 97) {
      try AtomicFile.write(Array(whole[..<length]), to: cut)
      #expect(throws: GGUFError.self) { try ImportanceMatrix(contentsOf: cut) }
    }
    #expect(throws: FileIOError.self) {
      try ImportanceMatrix(contentsOf: directory.file("none.gguf"))
    }
  }
}
