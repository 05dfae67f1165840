import ExpertPack
import ExpertStore
import FileIO
import ModelGraph
import Packer
import TestSupport
import Testing

@Suite("Chunks and single tokens")
struct ChunkTests {
  private static let tokens: [Int32] = (0..<30).map { ($0 * 17 + $0 / 3) % 48 }

  @Test(
    "slices and chunks give the same logits for any chunk, slots, threads and kind of pack",
    arguments: [PackKind.packed, .inPlace], [false, true])
  func invariance(_ kind: PackKind, isQuantized: Bool) throws {
    let written = try (isQuantized ? SmallModel.quantized : SmallModel()).pack()
    let packed = try PackedModel(source: written.directory.file("model.gguf"), kind: kind)
    defer { withExtendedLifetime((written, packed)) {} }
    func logits(_ adjust: (inout ModelOptions) -> Void) throws -> [Float] {
      var options = ModelOptions(threads: 1)
      adjust(&options)
      return try Session(model: try Model.load(pack: packed.pack, options: options))
        .allLogits(Self.tokens)
    }
    let expected = try logits { $0.batch = 1 }
    #expect(Set(expected).count > 1000)
    #expect(
      Set(packed.pack.expertLayers.map(\.geometry.computeSlices)) == [4], "slices to tell apart")
    for batch in [1, 2, 8, 9, 21, 64] {
      for slots in [2, 3, 5, 11, 24] {
        for threads in slots.isMultiple(of: 2) ? [1, 4] : [2] {
          let found = try logits { options in
            options.batch = batch
            options.maximumSlots = slots
            options.threads = threads
          }
          #expect(found == expected, "batch \(batch), \(slots) slots, \(threads) threads")
        }
      }
    }
  }

  @Test("every expert of a layer is asked for once a chunk, and read at most once")
  func readOnce() throws {
    let packed = try SmallModel().pack()
    defer { withExtendedLifetime(packed) {} }
    for slots in [2, 5, 12, 24] {
      var options = ModelOptions(threads: 2)
      options.batch = 15
      options.maximumSlots = slots
      let model = try Model.load(pack: packed.pack, options: options)
      let session = try Session(model: model)
      for chunk in 1...2 {
        try session.evaluate(Array(Self.tokens.prefix(15)), logits: .none) { _, _ in }
        let statistics = model.store.statistics
        // Four layers of six experts.
        #expect(statistics.expertsRequested <= chunk * 24)
        #expect(statistics.expertsRequested > chunk * 12)
        #expect(statistics.expertsRequested == statistics.hits + statistics.expertsRead)
        if slots == 24 { #expect(statistics.expertsRead <= 24) }
      }
    }
  }

  @Test("the last layer asks for the experts of those tokens alone whose logits are wanted")
  func wantedTokens() throws {
    let packed = try SmallModel().pack()
    defer { withExtendedLifetime(packed) {} }
    func session(batch: Int) throws -> Session {
      var options = ModelOptions(threads: 2)
      options.batch = batch
      options.maximumSlots = 24
      return try Session(model: try Model.load(pack: packed.pack, options: options))
    }
    let all = try session(batch: 1)
    let expected = try all.allLogits(Self.tokens)
    let next = try all.evaluate([7])
    for batch in [1, 4, 8, 15, 29, 64] {
      let session = try session(batch: batch)
      var indices: [Int] = []
      var last: [Float] = []
      try session.evaluate(Self.tokens, logits: .last) { index, logits in
        indices.append(index)
        last = Array(logits)
      }
      #expect(indices == [29])
      #expect(last == expected.suffix(last.count) && !last.isEmpty, "batch \(batch)")
      #expect(try session.evaluate([7]) == next, "batch \(batch)")
    }
    let none = try session(batch: 15)
    try none.evaluate(Self.tokens, logits: .none) { _, _ in Issue.record("no logits were wanted") }
    // Three layers of six experts, two chunks.
    #expect(none.model.store.statistics.expertsRequested <= 36)
    #expect(try none.evaluate([7]) == next)
  }

  @Test("two sessions on one model and its threads give what one gives alone")
  func sessions() throws {
    let packed = try SmallModel().pack()
    defer { withExtendedLifetime(packed) {} }
    func options(_ slots: Int) -> ModelOptions {
      var options = ModelOptions(threads: 3)
      options.batch = 10
      options.sessionCount = 3
      options.maximumSlots = slots
      return options
    }
    let expected = try Session(model: try Model.load(pack: packed.pack, options: options(24)))
      .allLogits(Self.tokens)
    for slots in [2, 3, 7] {
      let model = try Model.load(pack: packed.pack, options: options(slots))
      let isEnded = endsInTime(120) {
        concurrently(3) { user in
          #expect(throws: Never.self) {
            let session = try Session(model: model)
            let logits =
              try user == 0
              ? session.allLogits(Self.tokens)
              : Self.tokens.reduce(into: []) { $0 += try session.allLogits([$1]) }
            #expect(logits == expected, "\(slots) slots, user \(user)")
          }
        }
      }
      #expect(isEnded, "\(slots) slots")
    }
  }
}
