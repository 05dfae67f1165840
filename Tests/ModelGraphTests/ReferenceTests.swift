import ExpertPack
import ExpertStore
import Foundation
import FileIO
import Kernels
import ModelGraph
import TestSupport
import Testing

@Suite("Agreement with the reference")
struct ReferenceTests {
  /// Largest relative error of a block: float rounding, and the rounding of 16-bit activations where
  /// they are quantised.
  private static func bound(_ set: InstructionSet) -> Double {
    KernelSet(set).quantizedByteCount(columns: 32) == 0 ? 1e-5 : 1e-4
  }

  @Test(
    "every block computes what the reference computes, but for rounding",
    arguments: InstructionSet.available)
  func blocks(_ instructionSet: InstructionSet) throws {
    let session = try Session(
      model: try Checkpoint.model {
        $0.instructionSet = instructionSet
        $0.keyValueType = .f32
      })
    var blocks: [String: [Float]] = [:]
    var shapes: [String: [Int]] = [:]
    session.observer = { name, _, values, shape in
      blocks[name] = Array(values)
      shapes[name] = shape
    }
    _ = try session.allLogits(Array(try Checkpoint.tokens().prefix(16)))
    let list = String(
      decoding: try FileBytes.read(Fixtures.path("blocks/shapes.txt")), as: UTF8.self)
    let expected = list.split(separator: "\n").map { $0.split(separator: " ") }
    #expect(expected.count > 45)
    for line in expected {
      let name = String(line[0])
      #expect(shapes[name]?.filter { $0 != 1 } == line.dropFirst().compactMap { Int($0) })
      let values = try Floats.read(Fixtures.path("blocks/\(name).f32"))
      let error = Floats.normalizedError(blocks[name] ?? [], values).squareRoot()
      // Ids are exact, so any other pick is an error of more than this.
      #expect(error <= Self.bound(instructionSet), "\(name): \(error)")
    }
  }

  @Test("logits agree with the exact ones at all positions", arguments: InstructionSet.available)
  func logits(_ instructionSet: InstructionSet) throws {
    let session = try Session(model: try Checkpoint.model { $0.instructionSet = instructionSet })
    let found = try session.allLogits(try Checkpoint.tokens())
    let exact = try Floats.read(Fixtures.path(Checkpoint.reference + "/exact.logits.f32"))
    #expect(
      Floats.normalizedError(found, exact) <= Self.bound(instructionSet)
        * Self.bound(instructionSet))
  }

  struct Run: Sendable, CustomTestStringConvertible {
    let batch: Int
    let threads: Int
    let slots: Int
    let readThreads: Int
    var testDescription: String {
      "batch \(batch), \(threads) threads, \(slots) slots, \(readThreads) read threads"
    }
  }

  static let runs = [
    Run(batch: 1, threads: 1, slots: 192, readThreads: 2),
    Run(batch: 5, threads: 3, slots: 4, readThreads: 16),
    Run(batch: 16, threads: 2, slots: 7, readThreads: 1),
    Run(batch: 64, threads: 5, slots: 24, readThreads: 4),
  ]

  private static let plain = Result {
    try Session(model: try Checkpoint.model { $0.threads = 1 })
      .allLogits(Array(try Checkpoint.tokens().prefix(20)))
  }

  @Test("no bit depends on chunks, threads, slots or reads", arguments: runs)
  func deterministic(_ run: Run) throws {
    let model = try Checkpoint.model { options in
      options.batch = run.batch
      options.threads = run.threads
      options.maximumSlots = run.slots
      options.reading.depth = run.readThreads
    }
    #expect(model.store.slotCount == run.slots)
    let session = try Session(model: model)
    let tokens = Array(try Checkpoint.tokens().prefix(20))
    #expect(try session.allLogits(tokens) == Self.plain.get())
    // Once more, with a warm store, in calls of uneven length.
    session.reset()
    var logits: [Float] = []
    for part in [tokens[..<1], tokens[1..<9], tokens[9..<9], tokens[9...]] {
      logits += try session.allLogits(Array(part))
    }
    #expect(try logits == Self.plain.get())
  }

  @Test("a pack in place computes the same bits")
  func inPlace() throws {
    let packed = try PackedModel(source: Fixtures.checkpoint, kind: .inPlace)
    defer { withExtendedLifetime(packed) {} }
    var options = ModelOptions(threads: 2)
    options.maximumSlots = 9
    let session = try Session(model: try Model.load(pack: packed.pack, options: options))
    #expect(
      try session.allLogits(Array(try Checkpoint.tokens().prefix(20))) == Self.plain.get())
  }
}
