import ExpertStore
import Testing

@Suite("Expert predictors")
struct PredictorTests {
  private func predict(_ predictor: any ExpertPredictor, layer: Int, count: Int) -> [Int32] {
    var experts: [Int32] = [9, 9, 9]
    predictor.predict(layer: layer, count: count, into: &experts)
    return experts
  }

  @Test("the token before is repeated, its best expert first, layer by layer")
  func previousToken() {
    var predictor = PreviousTokenPredictor(layerCount: 2, usedCount: 3)
    #expect(predict(predictor, layer: 0, count: 3) == [])
    predictor.learn([5, 1, 7], layer: 0)
    predictor.learn([2, 0], layer: 1)
    #expect(predict(predictor, layer: 0, count: 3) == [5, 1, 7])
    #expect(predict(predictor, layer: 0, count: 2) == [5, 1])
    #expect(predict(predictor, layer: 1, count: 3) == [2, 0])
    predictor.learn([6, 4, 1], layer: 0)
    #expect(predict(predictor, layer: 0, count: 8) == [6, 4, 1])
    #expect(predict(predictor, layer: 1, count: 8) == [2, 0])
  }

  @Test("popularity counts uses, ties go to the lower id, and a layer starts with nothing")
  func popularity() {
    var predictor = PopularityPredictor(layerCount: 2, expertCount: 6, halfLife: 1e6)
    #expect(predict(predictor, layer: 1, count: 2) == [])
    predictor.learn([4, 2], layer: 1)
    #expect(predict(predictor, layer: 1, count: 3) == [2, 4])
    predictor.learn([4, 5], layer: 1)
    #expect(predict(predictor, layer: 1, count: 3) == [4, 5, 2])
    #expect(predict(predictor, layer: 1, count: 1) == [4])
    #expect(predict(predictor, layer: 0, count: 3) == [])
  }

  @Test("a use fades: after enough half-lives one recent use outweighs several old ones")
  func decay() {
    var predictor = PopularityPredictor(layerCount: 1, expertCount: 4, halfLife: 2)
    for _ in 0..<4 { predictor.learn([3], layer: 0) }
    predictor.learn([1], layer: 0)
    #expect(predict(predictor, layer: 0, count: 1) == [3])
    for _ in 0..<6 { predictor.learn([0], layer: 0) }
    predictor.learn([1], layer: 0)
    #expect(predict(predictor, layer: 0, count: 3) == [0, 1, 3])
    // Thousands of tokens later the weights have been scaled down many times over.
    for _ in 0..<5000 { predictor.learn([2], layer: 0) }
    predictor.learn([1], layer: 0)
    #expect(predict(predictor, layer: 0, count: 2) == [2, 1])
  }

  @Test("scores rank experts, ties to the lower id, for the layer that they were made for alone")
  func scores() {
    var predictor = NextLayerRouterPredictor(usedCount: 3)
    #expect(predictor.needsScores)
    let scores: [Float] = [-1, 4, .nan, 4, 2, -.infinity, 3]
    scores.withUnsafeBufferPointer { predictor.learn(scores: $0, layer: 3) }
    #expect(predict(predictor, layer: 3, count: 3) == [1, 3, 6])
    #expect(predict(predictor, layer: 3, count: 2) == [1, 3])
    #expect(predict(predictor, layer: 4, count: 3) == [])
  }

  @Test("a choice makes the predictor that it names")
  func choices() {
    func make(_ choice: PrefetchChoice) -> (any ExpertPredictor)? {
      choice.makePredictor(layerCount: 2, expertCount: 4, usedCount: 2)
    }
    #expect(make(.off) == nil)
    #expect(make(.previousToken) is PreviousTokenPredictor)
    #expect(make(.popularity) is PopularityPredictor)
    #expect(make(.nextLayerRouter) is NextLayerRouterPredictor)
    #expect(make(.auto) is NextLayerRouterPredictor)
  }
}
