/// Names experts that a layer is likely to use before its router has spoken.
///
/// The same calls give the same names. No operation allocates once the first token has passed.
package protocol ExpertPredictor {
  /// Whether the predictor goes by the scores of the coming layer's router, given to
  /// ``learn(scores:layer:)`` before every prediction.
  var needsScores: Bool { get }

  /// Notes that a token used `experts`, best first, in `layer`.
  mutating func learn(_ experts: ArraySlice<Int32>, layer: Int)

  /// Notes what the router of `layer` would say of a state before the layer's own.
  mutating func learn(scores: UnsafeBufferPointer<Float>, layer: Int)

  /// Replaces `experts` by at most `count` distinct ids that the next token may use in `layer`, the
  /// most likely one first; by none while nothing is known of the layer.
  func predict(layer: Int, count: Int, into experts: inout [Int32])
}

extension ExpertPredictor {
  package var needsScores: Bool { false }
  package mutating func learn(_ experts: ArraySlice<Int32>, layer: Int) {}
  package mutating func learn(scores: UnsafeBufferPointer<Float>, layer: Int) {}
}

/// Names the experts that the layer used for the token before.
package struct PreviousTokenPredictor: ExpertPredictor {
  private let usedCount: Int
  private var last: [Int32]  // [layers, used], best first
  private var counts: [Int32]  // [layers]: how many of them there are

  /// A predictor for so many layers, in which a token uses at most so many experts.
  package init(layerCount: Int, usedCount: Int) {
    self.usedCount = usedCount
    last = [Int32](repeating: 0, count: layerCount * usedCount)
    counts = [Int32](repeating: 0, count: layerCount)
  }

  package mutating func learn(_ experts: ArraySlice<Int32>, layer: Int) {
    var position = layer * usedCount
    for expert in experts.prefix(usedCount) {
      last[position] = expert
      position += 1
    }
    counts[layer] = Int32(position - layer * usedCount)
  }

  package func predict(layer: Int, count: Int, into experts: inout [Int32]) {
    experts.removeAll(keepingCapacity: true)
    let first = layer * usedCount
    for position in first..<first + min(count, Int(counts[layer])) {
      experts.append(last[position])
    }
  }
}

/// Names the experts with the highest scores by the next layer's own router, applied to the state
/// that enters this layer's experts instead of the one that leaves them.
///
/// The state is a sum to which a layer adds little, so that the two rank experts alike.
package struct NextLayerRouterPredictor: ExpertPredictor {
  /// Layer that the scores are of; -1 for none.
  private var layer = -1
  private var best: [Int32]  // [used], best first
  private var scores: [Float]  // [used]
  private var count = 0

  /// A predictor for a model of which a token uses at most so many experts in a layer.
  package init(usedCount: Int) {
    best = [Int32](repeating: 0, count: usedCount)
    scores = [Float](repeating: 0, count: usedCount)
  }

  package var needsScores: Bool { true }

  package mutating func learn(scores values: UnsafeBufferPointer<Float>, layer: Int) {
    self.layer = layer
    count = 0
    for (expert, value) in values.enumerated() where !value.isNaN {
      var rank = count
      while rank > 0, value > scores[rank - 1] { rank -= 1 }
      guard rank < best.count else { continue }
      if count < best.count { count += 1 }
      for later in stride(from: count - 1, to: rank, by: -1) {
        scores[later] = scores[later - 1]
        best[later] = best[later - 1]
      }
      scores[rank] = value
      best[rank] = Int32(expert)
    }
  }

  package func predict(layer: Int, count: Int, into experts: inout [Int32]) {
    experts.removeAll(keepingCapacity: true)
    guard layer == self.layer else { return }
    for rank in 0..<min(count, self.count) { experts.append(best[rank]) }
  }
}
