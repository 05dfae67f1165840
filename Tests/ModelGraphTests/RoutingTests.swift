import ModelGraph
import Testing

@Suite("Routing")
struct RoutingTests {
  /// Picks two of six for each row.
  private func route(_ rows: [[Float]]) throws -> (Routing, [Float])? {
    let config = try ModelConfig(
      metadata: SmallModel.metadata, vocabularySize: SmallModel.vocabulary, path: "model.gguf")
    let routing = Routing(config: config, batch: 4)
    var weights = [Float](repeating: 0, count: rows.count * 2)
    for (token, row) in rows.enumerated() {
      let isNumber = row.withUnsafeBufferPointer { row in
        weights.withUnsafeMutableBufferPointer { weights in
          guard let row = row.baseAddress, let weights = weights.baseAddress else { return false }
          return routing.choose(
            token: token, probabilities: row, weights: weights + token * 2)
        }
      }
      guard isNumber else { return nil }
    }
    routing.group(tokenCount: rows.count)
    return (routing, weights)
  }

  @Test("the highest probabilities win, best first, and their weights sum to 1")
  func best() throws {
    let (routing, weights) = try #require(try route([[0.0625, 0.125, 0, 0.375, 0.4375, 0]]))
    #expect(Array(routing.chosen.prefix(2)) == [4, 3])
    #expect(weights == [0.4375 / 0.8125, 0.375 / 0.8125])
  }

  @Test("ties go to the lower id")
  func ties() throws {
    let (routing, weights) = try #require(
      try route([
        [0.1, 0.2, 0.2, 0.2, 0.2, 0.1], [0.2, 0.2, 0.2, 0.2, 0.1, 0.1], [0, 0, 0, 0, 0, 1],
      ]))
    #expect(Array(routing.chosen.prefix(6)) == [1, 2, 0, 1, 5, 0])
    #expect(weights == [0.5, 0.5, 0.5, 0.5, 1, 0])
  }

  @Test("pairs are grouped by expert, in each by token")
  func groups() throws {
    let (routing, _) = try #require(
      try route([
        [0, 0.4, 0, 0, 0.6, 0], [0, 0.6, 0.4, 0, 0, 0], [0, 0.4, 0, 0, 0, 0.6],
      ]))
    #expect(routing.experts == [1, 2, 4, 5])
    #expect(routing.starts == [0, 3, 4, 5, 6])
    #expect(Array(routing.tokens.prefix(6)) == [0, 1, 2, 1, 0, 2])
    #expect(Array(routing.ranks.prefix(6)) == [1, 2, 5, 3, 0, 4])
  }

  @Test(
    "what is no probability is refused",
    arguments: [[Float.nan, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, .nan], [0, 0, 0, 0, 0, 0]])
  func numbers(_ row: [Float]) throws {
    #expect(try route([row]) == nil)
  }
}
