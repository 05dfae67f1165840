/// Names the experts that the layer used most of late: counts in which a use weighs half as much
/// after every ``halfLife`` tokens, ties to the lower id.
package struct PopularityPredictor: ExpertPredictor {
  /// Tokens after which a use counts half.
  ///
  /// Measured on recorded routing of Qwen3-30B-A3B, Gemma-4-26B-A4B and gpt-oss-120b, share of a
  /// token's experts that are named: 8 gives 36.2, 38.4 and 23.4 %, the best of 4 to 256 but for 0.2
  /// points on the first; counts that never fade give 33.5, 36.2 and 14.2 %.
  package static let defaultHalfLife = 8.0

  /// Counts are scaled down by the inverse of this when the weight of a use reaches it: a power of
  /// two, so that scaling is exact.
  private static let largestWeight = 0x1p512

  private let expertCount: Int
  private var counts: [Double]  // [layers, experts], in units of a use at the start
  private var weights: [Double]  // [layers]: what a use counts now
  private let growth: Double

  /// A predictor for so many layers of at most so many experts.
  package init(layerCount: Int, expertCount: Int, halfLife: Double = defaultHalfLife) {
    self.expertCount = expertCount
    counts = [Double](repeating: 0, count: layerCount * expertCount)
    weights = [Double](repeating: 1, count: layerCount)
    // 2^(1 / halfLife) to first order, so that no libm decides on ties.
    growth = 1 + 0.693_147_180_559_945_3 / max(1, halfLife)
  }

  package mutating func learn(_ experts: ArraySlice<Int32>, layer: Int) {
    let first = layer * expertCount
    weights[layer] *= growth
    if weights[layer] >= Self.largestWeight {
      weights[layer] /= Self.largestWeight
      for index in first..<first + expertCount { counts[index] /= Self.largestWeight }
    }
    for expert in experts { counts[first + Int(expert)] += weights[layer] }
  }

  package func predict(layer: Int, count: Int, into experts: inout [Int32]) {
    experts.removeAll(keepingCapacity: true)
    let first = layer * expertCount
    for expert in 0..<expertCount where counts[first + expert] > 0 {
      let uses = counts[first + expert]
      var rank = experts.count
      while rank > 0, uses > counts[first + Int(experts[rank - 1])] { rank -= 1 }
      guard rank < count else { continue }
      if experts.count == count { experts.removeLast() }
      experts.insert(Int32(expert), at: rank)
    }
  }
}
