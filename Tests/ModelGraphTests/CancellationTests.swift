import ModelGraph
import TestSupport
import Testing

@Suite("An evaluation that is cancelled")
struct CancellationTests {
  @Test("ends before the next layer, and the session goes on after a reset", arguments: 0..<9)
  func everyLayer(_ layer: Int) throws {
    let model = try Checkpoint.model()
    let tokens = Array(try Checkpoint.tokens().prefix(6))
    let session = try Session(model: model)
    let expected = try session.allLogits(tokens)
    session.reset()
    var asked = 0
    session.isCancelled = {
      asked += 1
      return asked > layer
    }
    if layer == model.config.layerCount {
      // Asked before each of eight layers, and never true.
      #expect(try session.allLogits(tokens) == expected)
      #expect(asked == layer)
      return
    }
    let error = #expect(throws: ModelGraphError.self) { try session.allLogits(tokens) }
    #expect(error?.code == .cancelled)
    #expect(error?.message == "cancelled at position 0, before layer \(layer)")
    #expect(asked == layer + 1)
    session.isCancelled = nil
    let refused = #expect(throws: ModelGraphError.self) { try session.allLogits(tokens) }
    #expect(refused?.code == .incompleteState)
    session.reset()
    #expect(try session.allLogits(tokens) == expected)
  }
}
