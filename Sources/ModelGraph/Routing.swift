/// Which experts the tokens of a chunk use, and the same turned round: which tokens an expert has.
///
/// A pair is a token with one of its experts. Pairs are numbered expert by expert, in each by token,
/// so that the outputs of an expert are neighbours. Made once a session; filling it allocates nothing
/// after the first chunk of full size.
package final class Routing {
  private let expertCount: Int
  private let usedCount: Int
  /// Expert of every token and rank, `[tokens, top-k]`, best first.
  package private(set) var chosen: [Int32]
  /// Index of every pair in ``chosen``: token x top-k + rank.
  package private(set) var ranks: [Int32]
  /// Token of every pair.
  package private(set) var tokens: [Int32]
  /// Distinct experts, ascending.
  package private(set) var experts: [Int32] = []
  /// First pair of every distinct expert, and the number of pairs at the end.
  package private(set) var starts: [Int32] = []
  /// Pairs of every expert so far, by id.
  private var fill: [Int32]

  package init(config: ModelConfig, batch: Int) {
    expertCount = config.experts.count
    usedCount = config.experts.usedCount
    chosen = [Int32](repeating: 0, count: batch * config.experts.usedCount)
    ranks = chosen
    tokens = chosen
    fill = [Int32](repeating: 0, count: config.experts.count)
    experts.reserveCapacity(min(fill.count, chosen.count))
    starts.reserveCapacity(min(fill.count, chosen.count) + 1)
  }

  /// Picks the experts of token `token`: the highest probabilities, ties to the lower id.
  ///
  /// `probabilities` are `[experts]`; `weights`, `[top-k]`, get the picks' shares of their sum. False
  /// when the probabilities are no numbers.
  package func choose(
    token: Int, probabilities: UnsafePointer<Float>, weights: UnsafeMutablePointer<Float>
  ) -> Bool {
    let first = token * usedCount
    var count = 0
    for expert in 0..<expertCount {
      let probability = probabilities[expert]
      // Also false for what is not a number, so that every pick is one.
      guard probability >= 0 else { return false }
      var rank = count
      while rank > 0, probability > weights[rank - 1] { rank -= 1 }
      guard rank < usedCount else { continue }
      if count < usedCount { count += 1 }
      for later in stride(from: count - 1, to: rank, by: -1) {
        weights[later] = weights[later - 1]
        chosen[first + later] = chosen[first + later - 1]
      }
      weights[rank] = probability
      chosen[first + rank] = Int32(expert)
    }
    var sum: Float = 0
    for rank in 0..<usedCount { sum += weights[rank] }
    guard sum > 0, sum.isFinite else { return false }
    for rank in 0..<usedCount { weights[rank] /= sum }
    return true
  }

  /// Groups the picks of the first `tokenCount` tokens by expert.
  package func group(tokenCount: Int) {
    let count = tokenCount * usedCount
    for expert in 0..<expertCount { fill[expert] = 0 }
    for index in 0..<count { fill[Int(chosen[index])] += 1 }
    experts.removeAll(keepingCapacity: true)
    starts.removeAll(keepingCapacity: true)
    var start: Int32 = 0
    for expert in 0..<expertCount where fill[expert] > 0 {
      experts.append(Int32(expert))
      starts.append(start)
      let next = start + fill[expert]
      fill[expert] = start
      start = next
    }
    starts.append(start)
    for index in 0..<count {
      let expert = Int(chosen[index])
      ranks[Int(fill[expert])] = Int32(index)
      tokens[Int(fill[expert])] = Int32(index / usedCount)
      fill[expert] += 1
    }
  }
}
