import ExpertPack
import Foundation
import GGUF
import Generation
import Kernels
import ModelGraph
import Packer
import TestSupport
import Testing
import Tokenizers

/// A checkpoint and what an independent engine computed from it.
///
/// `DIR/models/NAME.gguf` (or a first shard below `DIR/models/split`) with `DIR/golden/NAME/`: the
/// repository's fixtures, and whatever `MOEPACK_GOLDENS` names.
struct GoldenCheckpoint: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let source: String
  /// Directory of this checkpoint's goldens.
  let goldens: String
  /// Directory of the prompts that all checkpoints share.
  let prompts: String
  let meta: Meta

  struct Meta: Decodable, Sendable {
    let shape: [Int]
    let kl_exact_vs_reference: Double
    let perplexity_c512: [Double]?
    /// Whether the weights are random: perplexity says nothing, and tiny differences flip experts.
    var isTrained: Bool { (perplexity_c512?.first ?? .infinity) < 1000 }
  }

  struct Greedy: Decodable {
    let tokens: [Int32]
    let margin_top1_top2: [Double]
  }

  static let all: [GoldenCheckpoint] = {
    var found = checkpoints(models: Fixtures.path(""), golden: Fixtures.path("golden"))
    if let directory = ProcessInfo.processInfo.environment["MOEPACK_GOLDENS"] {
      for models in ["models", "models/split"] {
        found += checkpoints(models: "\(directory)/\(models)/", golden: "\(directory)/golden")
      }
    }
    return found
  }()

  private static func checkpoints(models: String, golden: String) -> [GoldenCheckpoint] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: golden)) ?? []
    return names.sorted().compactMap { name in
      let source = models + name + ".gguf"
      guard FileManager.default.fileExists(atPath: source),
        let data = try? FileBytes.read("\(golden)/\(name)/meta.json"),
        let meta = try? JSONDecoder().decode(Meta.self, from: data)
      else { return nil }
      return GoldenCheckpoint(
        testDescription: name, source: source, goldens: "\(golden)/\(name)",
        prompts: "\(golden)/text/prompts", meta: meta)
    }
  }

  /// Names of the shared prompts.
  var promptNames: [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: prompts)) ?? []
    return files.filter { $0.hasSuffix(".txt") }.map { String($0.dropLast(4)) }.sorted()
  }

  func decode<T: Decodable>(_ type: T.Type, _ name: String) throws -> T {
    try JSONDecoder().decode(type, from: try FileBytes.read("\(goldens)/\(name)"))
  }

  /// Ids of the reference text.
  var referenceTokens: [Int32] {
    get throws { try decode([Int32].self, "ref.tokens.json") }
  }

  /// Logits of the exact model at every position of the reference text, [tokens, vocabulary].
  var exactLogits: [Float] {
    get throws {
      let data = try FileBytes.read("\(goldens)/exact.logits.f32")
      return data.withUnsafeBytes { bytes in
        (0..<bytes.count / 4).map {
          Float(
            bitPattern: UInt32(
              littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
        }
      }
    }
  }
}

/// A checkpoint packed for one test.
struct PackedCheckpoint {
  let directory: TemporaryDirectory
  let pack: PackDirectory

  init(_ checkpoint: GoldenCheckpoint, kind: PackKind = .packed) throws {
    directory = try TemporaryDirectory()
    let path = directory.file("model.moepack")
    try PackWriter(source: try GGUFFile.open(checkpoint.source), kind: kind, threads: 2).write(
      to: path, overwrite: false
    ) { _ in }
    pack = try PackDirectory.open(path)
  }

  /// Loads the model; `adjust` changes the options.
  func model(
    _ instructionSet: InstructionSet? = nil, adjust: (inout ModelOptions) -> Void = { _ in }
  ) throws -> Model {
    var options = ModelOptions(threads: 2)
    options.instructionSet = instructionSet
    options.contextLength = 1024
    adjust(&options)
    return try Model.load(pack: pack, options: options)
  }

  /// All logits of `tokens`, in calls of the given sizes (the last repeats).
  static func logits(
    _ model: Model, _ tokens: [Int32], calls: [Int] = [Int.max]
  ) throws -> [Float] {
    let session = try Session(model: model)
    var result: [Float] = []
    var (done, call) = (0, 0)
    while done < tokens.count {
      let count = min(calls[min(call, calls.count - 1)], tokens.count - done)
      try session.evaluate(Array(tokens[done..<done + count]), logits: .all) { _, logits in
        result.append(contentsOf: logits)
      }
      done += count
      call += 1
    }
    return result
  }
}
