import FileIO
import Foundation
import GGUF
import Quantizers
import TestSupport
import Tensors
import Testing

/// The error of every quantiser beside that of llama.cpp's: fixtures/quantizers/README.md.
@Suite("Error beside the reference quantiser")
struct ReferenceErrorTests {
  struct Figure: Decodable {
    let type: String
    let data: String
    let mse: Double
    let weighted_mse: Double?
  }

  /// How much more error than the reference's is too much.
  static let bar = 1.02

  static let figures: [Figure] = {
    let path = Fixtures.path("quantizers/reference.json")
    guard let data = try? Data(contentsOf: URL(filePath: path)),
      let figures = try? JSONDecoder().decode([Figure].self, from: data)
    else { fatalError("\(path): does not decode") }
    return figures
  }()

  /// The rows that `data` names, and the mean squares of the activations that meet them.
  private func rows(_ data: String) throws -> (Rows, [Float]?) {
    let parts = data.split(separator: " ").map(String.init)
    guard parts[0] != "synthetic" else {
      return (SyntheticRows.make(parts[1]), SyntheticRows.importance)
    }
    let isTrained = parts[0] == "trained"
    let path = isTrained ? Fixtures.path("quantizers/trained.gguf") : Fixtures.checkpoint
    let tensor = try #require(try GGUFFile.open(path).tensor(named: parts[1]))
    let (expert, count) = (try #require(UInt64(parts[2])), try #require(Int(parts[3])))
    let columns = Int(tensor.dimensions[0])
    let rowBytes = tensor.type.rowBytes(columns: columns)
    let bytes = try File.reading(path).bytes(
      at: tensor.offset + expert * tensor.dimensions[1] * UInt64(rowBytes), count: count * rowBytes)
    let rows = Rows(decoding: bytes, type: tensor.type, columns: columns)
    return (rows, isTrained ? try importance(parts[1], expert: Int(expert), columns: columns) : nil)
  }

  private func importance(_ name: String, expert: Int, columns: Int) throws -> [Float]? {
    let path = Fixtures.path("quantizers/importance.gguf")
    let model = try GGUFFile.open(path)
    guard let sums = model.tensor(named: name + ".in_sum2") else { return nil }
    let counts = try #require(model.tensor(named: name + ".counts"))
    func floats(_ tensor: GGUFTensor, from first: Int, count: Int) throws -> [Float] {
      let bytes = try File.reading(path).bytes(
        at: tensor.offset + UInt64(4 * first), count: 4 * count)
      return bytes.withUnsafeBytes { bytes in
        (0..<count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
      }
    }
    let count = try floats(counts, from: expert, count: 1)[0]
    return try floats(sums, from: expert * columns, count: columns).map { $0 / count }
  }

  @Test("is at most 1.02 times the reference's", arguments: Quantizer.types)
  func atMostTheReference(type: TensorType) throws {
    let figures = Self.figures.filter { $0.type == type.name }
    #expect(figures.count == 30)
    for figure in figures {
      let (rows, importance) = try rows(figure.data)
      guard let weighted = figure.weighted_mse else {
        let error = rows.error(of: try rows.roundTrip(type))
        #expect(error <= Self.bar * figure.mse, "\(type) \(figure.data): \(error / figure.mse)")
        continue
      }
      let squares = try #require(importance)
      let decoded = try rows.roundTrip(type, weights: ColumnWeights(meanSquares: squares))
      let error = rows.error(of: decoded, importance: squares)
      #expect(error <= Self.bar * weighted, "\(type) \(figure.data): weighted \(error / weighted)")
      let plain = rows.error(of: decoded)
      #expect(plain <= Self.bar * figure.mse, "\(type) \(figure.data): \(plain / figure.mse)")
    }
  }

  @Test("with weights is less than without them, weighted", arguments: Quantizer.types)
  func weightsMatter(type: TensorType) throws {
    // Blocks of Q8_0 take the largest element to the end of the levels, whatever the weights.
    guard type != .q8_0 else { return }
    let rows = SyntheticRows.make("heavy")
    let squares = SyntheticRows.importance
    let weights = ColumnWeights(meanSquares: squares)
    let plain = rows.error(of: try rows.roundTrip(type), importance: squares)
    let weighted = rows.error(of: try rows.roundTrip(type, weights: weights), importance: squares)
    #expect(weighted < 0.995 * plain, "\(type): \(weighted / plain)")
  }
}
