import ExpertPack
import Foundation
import GGUF
import Generation
import Kernels
import ModelGraph
import TestSupport
import Testing
import Tokenizers

@Suite("Perplexity is that of the exact model whatever computes it")
struct PerplexityTests {
  /// What the scalar path with F32 keys and values gave, which takes a minute to compute.
  struct Scalar: Decodable {
    let perplexity_c512: Double
    /// Of the first window alone.
    let first_window: Double
  }

  /// How a model is run.
  struct Case: CustomTestStringConvertible {
    let set: InstructionSet
    let precision: Activations.Precision
    let type: KeyValueType

    var testDescription: String { "\(set), \(precision), \(type)" }

    /// All that this machine can run; scalar instructions take floats, so one precision stands for both.
    static let all: [Case] = InstructionSet.allCases.filter(\.isAvailable).flatMap { set in
      (set == .scalar ? [.bits16] : [Activations.Precision.bits16, .bits8]).flatMap { precision in
        [KeyValueType.f16, .q8_0].map { Case(set: set, precision: precision, type: $0) }
      }
    }
  }

  static let trained = GoldenCheckpoint.all.filter(\.meta.isTrained)
  /// Those whose scalar perplexity is on record: the repository's fixtures.
  static let recorded = trained.filter {
    FileManager.default.fileExists(atPath: "\($0.goldens)/scalar.perplexity.json")
  }
  /// Those of `MOEPACK_GOLDENS`.
  static let others = trained.filter { checkpoint in
    !recorded.contains { $0.source == checkpoint.source }
  }

  /// A trained checkpoint, packed, and its text as token ids.
  private struct Subject {
    let packed: PackedCheckpoint
    let text: [Int32]
    let reference: Double

    init(_ checkpoint: GoldenCheckpoint) throws {
      packed = try PackedCheckpoint(checkpoint)
      reference = try #require(checkpoint.meta.perplexity_c512?.first)
      let tokenizer = try Tokenizer(
        vocabulary: try Vocabulary(metadata: packed.pack.source.metadata))
      text = try tokenizer.encode(
        bytes: Array(try FileBytes.read("\(checkpoint.goldens)/ppl.txt")), addBOS: false)
    }

    func perplexity(
      _ set: InstructionSet?, tokens: Int = .max, adjust: (inout ModelOptions) -> Void = { _ in }
    ) throws -> Double {
      let session = try Session(model: try packed.model(set, adjust: adjust))
      return try Perplexity(
        session: session, text: Array(text.prefix(tokens)), context: 512, bos: nil
      ) { _, _, _ in }.perplexity
    }

    /// Within 0.2 % of the scalar path and 0.5 % of the reference engine's own arithmetic.
    func check(_ item: Case, scalar: Double) throws {
      let ours = try perplexity(item.set) {
        $0.precision = item.precision
        $0.keyValueType = item.type
      }
      #expect(abs(ours / scalar - 1) < 0.002, "\(item.testDescription): \(ours), scalar \(scalar)")
      #expect(
        abs(ours / reference - 1) < 0.005,
        "\(item.testDescription): \(ours), reference \(reference)")
    }
  }

  @Test("there is a checkpoint whose scalar perplexity is on record")
  func present() { #expect(!Self.recorded.isEmpty) }

  @Test("the scalar path gives what is on record", arguments: recorded)
  func scalar(_ checkpoint: GoldenCheckpoint) throws {
    let expected = try checkpoint.decode(Scalar.self, "scalar.perplexity.json")
    let subject = try Subject(checkpoint)
    let ours = try subject.perplexity(.scalar, tokens: 512)
    #expect(abs(ours / expected.first_window - 1) < 1e-6, "\(ours)")
    #expect(abs(expected.perplexity_c512 / subject.reference - 1) < 0.005)
  }

  @Test(
    "every instruction set, precision and type of keys is within the bounds", arguments: recorded)
  func bounds(_ checkpoint: GoldenCheckpoint) throws {
    let scalar = try checkpoint.decode(Scalar.self, "scalar.perplexity.json").perplexity_c512
    let subject = try Subject(checkpoint)
    for item in Case.all where item.set != .scalar { try subject.check(item, scalar: scalar) }
    // What users get.
    #expect(abs(try subject.perplexity(nil) / scalar - 1) < 0.002)
  }

  @Test(
    "the same of further checkpoints, scalar instructions included",
    .enabled(if: !others.isEmpty), arguments: others)
  func sweep(_ checkpoint: GoldenCheckpoint) throws {
    let subject = try Subject(checkpoint)
    let scalar = try subject.perplexity(.scalar) { $0.keyValueType = .f32 }
    for item in Case.all { try subject.check(item, scalar: scalar) }
  }
}
