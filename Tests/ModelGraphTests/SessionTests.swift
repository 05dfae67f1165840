import ExpertPack
import ExpertStore
import Foundation
import GGUF
import ModelGraph
import TestSupport
import Tensors
import Testing

@Suite("Session")
struct SessionTests {
  @Test("only the logits asked for are given, with their index")
  func request() throws {
    let packed = try SmallModel().pack()
    defer { withExtendedLifetime(packed) {} }
    var options = ModelOptions(threads: 1)
    options.batch = 3
    let session = try Session(model: try Model.load(pack: packed.pack, options: options))
    let tokens: [Int32] = [3, 1, 4, 1, 5, 9, 2]
    var all: [[Float]] = []
    var indices: [Int] = []
    try session.evaluate(tokens, logits: .all) { index, logits in
      indices.append(index)
      all.append(Array(logits))
    }
    #expect(indices == Array(0..<7))
    #expect(session.position == 7)
    session.reset()
    try session.evaluate(tokens, logits: .none) { _, _ in Issue.record("nothing was asked for") }
    session.reset()
    #expect(session.position == 0)
    #expect(try session.evaluate(tokens) == all[6])
    #expect(try session.evaluate([Int32]()) == [])
    #expect(session.position == 7)
  }

  @Test("an id that the vocabulary does not have is refused before anything is evaluated")
  func token() throws {
    let packed = try SmallModel().pack()
    defer { withExtendedLifetime(packed) {} }
    let session = try Session(
      model: try Model.load(pack: packed.pack, options: ModelOptions(threads: 1)))
    for id in [-1, 48, Int32.max, Int32.min] {
      let error = #expect(throws: ModelGraphError.self) { try session.evaluate([1, id]) }
      #expect(error?.code == .invalidToken)
      #expect(error?.message == "token 1: expected an id from 0 to 47, found \(id)")
    }
    #expect(session.position == 0)
    #expect(try session.evaluate([47]).count == 48)
  }

  @Test("a context takes as many tokens as it has room for and refuses the next")
  func context() throws {
    let packed = try SmallModel().pack()
    defer { withExtendedLifetime(packed) {} }
    let model = try Model.load(pack: packed.pack, options: ModelOptions(threads: 1))
    do {
      let session = try Session(model: model, contextLength: 5)
      _ = try session.evaluate([1, 2, 3])
      let error = #expect(throws: ModelGraphError.self) { try session.evaluate([4, 5, 6]) }
      #expect(error?.code == .contextFull)
      #expect(
        error?.message.hasPrefix("3 tokens at position 3: the context holds 5; ") == true)
      _ = try session.evaluate([4, 5])
      #expect(throws: ModelGraphError.self) { try session.evaluate([6]) }
    }
    let error = #expect(throws: ModelGraphError.self) {
      try Session(model: model, contextLength: 65)
    }
    #expect(error?.code == .contextFull)
    // A refused session holds no place of the plan.
    _ = try Session(model: model)
  }

  @Test("more sessions than were planned are refused until one ends")
  func count() throws {
    let packed = try SmallModel().pack()
    defer { withExtendedLifetime(packed) {} }
    var options = ModelOptions(threads: 1)
    options.sessionCount = 2
    let model = try Model.load(pack: packed.pack, options: options)
    var sessions = [try Session(model: model), try Session(model: model)]
    let error = #expect(throws: ModelGraphError.self) { try Session(model: model) }
    #expect(error?.code == .outOfBudget)
    sessions.removeLast()
    sessions.append(try Session(model: model))
    #expect(sessions.count == 2)
  }

  @Test("a damaged expert ends the evaluation, and reset starts again")
  func damage() throws {
    let packed = try SmallModel().pack()
    defer { withExtendedLifetime(packed) {} }
    let pack = packed.pack
    let path = pack.files[2].path
    var options = ModelOptions(threads: 1)
    options.maximumSlots = 6
    // No token of the vocabulary gets past layer 2 when all of its experts are damaged.
    let places = (0..<6).map {
      Int(pack.placement(layer: 2, expert: $0).reads[1].payloadOffset)
    }
    let clean = try Session(model: try Model.load(pack: pack, options: options))
      .allLogits([7, 8, 9])
    for place in places { try FileBytes.flipBit(path, offset: place, bit: 3) }
    let session = try Session(model: try Model.load(pack: pack, options: options))
    let error = #expect(throws: ExpertStoreError.self) { try session.evaluate([7, 8, 9]) }
    #expect(error?.place?.layer == 2)
    #expect(error?.place?.slice == 1)
    let next = #expect(throws: ModelGraphError.self) { try session.evaluate([7]) }
    #expect(next?.code == .incompleteState)
    for place in places { try FileBytes.flipBit(path, offset: place, bit: 3) }
    session.reset()
    #expect(try session.allLogits([7, 8, 9]) == clean)
  }

  @Test("a resident weight that was altered is found before anything is computed")
  func residentDamage() throws {
    let packed = try SmallModel().pack()
    defer { withExtendedLifetime(packed) {} }
    try FileBytes.flipBit(packed.pack.path + "/resident.bin", offset: 300, bit: 2)
    #expect(throws: (any Error).self) {
      try Model.load(pack: packed.pack, options: ModelOptions(threads: 1))
    }
  }

  @Test(
    "weights that give no number are an error, not output",
    arguments: [
      ("blk.1.attn_norm.weight", "layer 1: "),
      // Past the last router, which would notice.
      ("output_norm.weight", "the token at position 0 gives logits that are no numbers"),
    ])
  func notANumber(name: String, message: String) throws {
    let packed = try SmallModel().pack()
    defer { withExtendedLifetime(packed) {} }
    let source = packed.directory.file("model.gguf")
    let tensor = try #require(packed.pack.source.tensor(named: name))
    let handle = try FileHandle(forUpdating: URL(filePath: source))
    try handle.seek(toOffset: tensor.offset)
    // A float32 of all ones is not a number.
    try handle.write(contentsOf: Data(repeating: 0xff, count: Int(tensor.byteCount)))
    try handle.close()
    let broken = try PackedModel(source: source)
    defer { withExtendedLifetime(broken) {} }
    let session = try Session(
      model: try Model.load(pack: broken.pack, options: ModelOptions(threads: 1)))
    let error = #expect(throws: ModelGraphError.self) { try session.evaluate([1]) }
    #expect(error?.code == .notANumber)
    #expect(error?.message.hasPrefix(message) == true)
  }
}
