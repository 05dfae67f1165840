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

@Suite("An independent engine agrees")
struct GoldenTests {
  @Test("there is a checkpoint to test")
  func present() { #expect(!GoldenCheckpoint.all.isEmpty) }

  @Test("token ids of every prompt are equal", arguments: GoldenCheckpoint.all)
  func tokens(_ checkpoint: GoldenCheckpoint) throws {
    let metadata = try GGUFFile.open(checkpoint.source).metadata
    let tokenizer = try Tokenizer(vocabulary: try Vocabulary(metadata: metadata))
    #expect(!checkpoint.promptNames.isEmpty)
    for name in checkpoint.promptNames {
      let text = Array(try FileBytes.read("\(checkpoint.prompts)/\(name).txt"))
      let expected = try checkpoint.decode([Int32].self, "\(name).tokens.json")
      #expect(try tokenizer.encode(bytes: text) == expected, "\(name)")
    }
    let reference = Array(try FileBytes.read("\(checkpoint.goldens)/ref.txt"))
    let ids = try tokenizer.encode(bytes: reference)
    #expect(try Array(ids.prefix(40)) == checkpoint.referenceTokens)
  }

  @Test("logits are within the tolerances of the exact model", arguments: GoldenCheckpoint.all)
  func logits(_ checkpoint: GoldenCheckpoint) throws {
    let packed = try PackedCheckpoint(checkpoint)
    let tokens = try checkpoint.referenceTokens
    let exact = try checkpoint.exactLogits
    let vocabulary = checkpoint.meta.shape[1]
    for set in InstructionSet.allCases where set.isAvailable {
      let ours = try PackedCheckpoint.logits(try packed.model(set), tokens)
      try #require(ours.count == exact.count)
      let distance = LogitDistance(exact: exact, other: ours, vocabulary: vocabulary)
      if set == .scalar { #expect(distance.normalizedError <= 1e-9) }
      let factor = checkpoint.meta.isTrained ? 1.1 : 2
      #expect(
        distance.divergence <= factor * checkpoint.meta.kl_exact_vs_reference + 1e-6, "\(set)")
      if checkpoint.meta.isTrained || checkpoint.meta.kl_exact_vs_reference == 0 {
        #expect(distance.differingTopTokens(whereMarginExceeds: 0.2) == 0, "\(set)")
      }
    }
  }

  @Test(
    "keys and values of fewer bits diverge no more than the reference's own",
    arguments: GoldenCheckpoint.all.filter(\.meta.isTrained), [KeyValueType.f16, .q8_0])
  func shortKeysAndValues(_ checkpoint: GoldenCheckpoint, type: KeyValueType) throws {
    let packed = try PackedCheckpoint(checkpoint)
    let tokens = try checkpoint.referenceTokens
    for set in InstructionSet.allCases where set.isAvailable {
      let model = try packed.model(set) { $0.keyValueType = type }
      let ours = try PackedCheckpoint.logits(model, tokens)
      let distance = LogitDistance(
        exact: try checkpoint.exactLogits, other: ours, vocabulary: checkpoint.meta.shape[1])
      #expect(
        distance.divergence <= 1.1 * checkpoint.meta.kl_exact_vs_reference + 1e-6, "\(set)")
      #expect(distance.differingTopTokens(whereMarginExceeds: 0.2) == 0, "\(set)")
    }
  }

  @Test(
    "8-bit activations diverge no more than the reference's own",
    arguments: GoldenCheckpoint.all.filter(\.meta.isTrained))
  func shortActivations(_ checkpoint: GoldenCheckpoint) throws {
    let packed = try PackedCheckpoint(checkpoint)
    let tokens = try checkpoint.referenceTokens
    let model = try packed.model { $0.precision = .bits8 }
    let ours = try PackedCheckpoint.logits(model, tokens)
    let distance = LogitDistance(
      exact: try checkpoint.exactLogits, other: ours, vocabulary: checkpoint.meta.shape[1])
    #expect(distance.divergence <= 1.1 * checkpoint.meta.kl_exact_vs_reference + 1e-6)
    guard checkpoint.testDescription.contains("seedmix"), model.activationBits == 8 else { return }
    #expect(ours != (try PackedCheckpoint.logits(try packed.model(), tokens)))
  }

  @Test("greedy text follows the exact model's", arguments: GoldenCheckpoint.all)
  func greedy(_ checkpoint: GoldenCheckpoint) throws {
    let packed = try PackedCheckpoint(checkpoint)
    let model = try packed.model(.scalar)
    let metadata = packed.pack.source.metadata
    let tokenizer = try Tokenizer(vocabulary: try Vocabulary(metadata: metadata))
    for name in checkpoint.promptNames {
      let golden = try checkpoint.decode(GoldenCheckpoint.Greedy.self, "\(name).greedy-exact.json")
      let sure = golden.margin_top1_top2.prefix { $0 > 0.01 }.count
      let result = try Generator(session: try Session(model: model), tokenizer: tokenizer).run(
        prompt: try checkpoint.decode([Int32].self, "\(name).tokens.json"),
        settings: .init(maximumTokens: sure, sampler: .greedy, ignoresEnd: true)
      ) { _ in }
      #expect(result.tokens == Array(golden.tokens.prefix(sure)), "\(name)")
    }
  }

  @Test("the checkpoint packs, verifies and exports to itself", arguments: GoldenCheckpoint.all)
  func exports(_ checkpoint: GoldenCheckpoint) throws {
    let packed = try PackedCheckpoint(checkpoint)
    let report = try PackVerifier(directory: packed.pack.path, threads: 2).verify { _ in }
    #expect(report.findings == [])
    let first = packed.directory.file(URL(filePath: checkpoint.source).lastPathComponent)
    let written = try PackExporter(pack: packed.pack, threads: 2).export(
      to: first, overwrite: false
    ) { _ in }
    for (copy, shard) in zip(written, try GGUFFile.open(checkpoint.source).shards) {
      #expect(try FileBytes.read(copy) == FileBytes.read(shard.path))
    }
  }
}

/// How far logits are from the exact ones.
struct LogitDistance {
  /// Sum of squared differences over the sum of squares.
  let normalizedError: Double
  /// Mean over positions of KL(exact || other), natural logarithm.
  let divergence: Double
  private let tops: [(margin: Double, agrees: Bool)]

  init(exact: [Float], other: [Float], vocabulary: Int) {
    var (difference, square, divergence) = (0.0, 0.0, 0.0)
    var tops: [(Double, Bool)] = []
    for start in stride(from: 0, to: exact.count, by: vocabulary) {
      let one = exact[start..<start + vocabulary].map(Double.init)
      let two = other[start..<start + vocabulary].map(Double.init)
      for (a, b) in zip(one, two) {
        difference += (a - b) * (a - b)
        square += a * a
      }
      let (p, q) = (Self.logSoftmax(one), Self.logSoftmax(two))
      for (a, b) in zip(p, q) { divergence += exp(a) * (a - b) }
      let order = one.indices.sorted { one[$0] > one[$1] }.prefix(2)
      let margin = one[order[0]] - one[order[1]]
      let top = two.indices.max { two[$0] < two[$1] }
      tops.append((margin, top == order[0]))
    }
    normalizedError = difference / square
    self.divergence = divergence / Double(exact.count / vocabulary)
    self.tops = tops
  }

  func differingTopTokens(whereMarginExceeds margin: Double) -> Int {
    tops.count { $0.margin > margin && !$0.agrees }
  }

  private static func logSoftmax(_ values: [Double]) -> [Double] {
    let top = values.max() ?? 0
    let sum = log(values.reduce(0) { $0 + exp($1 - top) })
    return values.map { $0 - top - sum }
  }
}
