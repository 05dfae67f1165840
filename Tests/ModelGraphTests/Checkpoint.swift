import ExpertPack
import Foundation
import GGUF
import Kernels
import ModelGraph
import Packer
import TestSupport

/// The repository's trained checkpoint, packed once for all tests that only read it.
enum Checkpoint {
  static let reference = "golden/tiny-qwen35moe-seedmix"

  private static let shared = Result { try PackedModel(source: Fixtures.checkpoint) }

  static func pack() throws -> PackDirectory { try shared.get().pack }

  static func tokens() throws -> [Int32] {
    let data = try FileBytes.read(Fixtures.path(reference + "/ref.tokens.json"))
    return try JSONDecoder().decode([Int32].self, from: data)
  }

  static func model(_ adjust: (inout ModelOptions) -> Void = { _ in }) throws -> Model {
    var options = ModelOptions(threads: 2)
    adjust(&options)
    return try Model.load(pack: try pack(), options: options)
  }
}

/// A pack in a directory of its own.
final class PackedModel: Sendable {
  let directory: TemporaryDirectory
  let pack: PackDirectory

  init(source: String, directory: TemporaryDirectory? = nil, kind: PackKind = .packed) throws {
    let home = try directory ?? TemporaryDirectory()
    let path = home.file("model.moepack")
    let writer = try PackWriter(source: try GGUFFile.open(source), kind: kind, threads: 2)
    try writer.write(to: path, overwrite: false) { _ in }
    self.directory = home
    pack = try PackDirectory.open(path)
  }
}

/// Float arrays in files and their distances.
enum Floats {
  static func read(_ path: String) throws -> [Float] {
    try FileBytes.read(path).withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: 4).map { offset in
        Float(
          bitPattern: UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
      }
    }
  }

  /// `sum((a - b)^2) / sum(b^2)`; infinite when the lengths differ.
  static func normalizedError(_ a: [Float], _ b: [Float]) -> Double {
    guard a.count == b.count else { return .infinity }
    var (difference, norm) = (0.0, 0.0)
    for index in a.indices {
      difference += (Double(a[index]) - Double(b[index])) * (Double(a[index]) - Double(b[index]))
      norm += Double(b[index]) * Double(b[index])
    }
    return norm > 0 ? difference / norm : difference
  }
}

extension Session {
  /// The logits of all positions, `[tokens * vocabulary]`, as bits.
  func allLogits(_ tokens: [Int32]) throws -> [Float] {
    var result: [Float] = []
    try evaluate(tokens, logits: .all) { _, logits in result.append(contentsOf: logits) }
    return result
  }
}

extension InstructionSet {
  /// The sets that this machine can run.
  static let available = allCases.filter(\.isAvailable)
}
