/// Whether experts are read before their router has asked for them, and on whose word. No choice
/// changes any result, only what is read and when.
public enum PrefetchChoice: String, Sendable, CaseIterable {
  /// Nothing is read ahead.
  case off
  /// The next layer's router, while ``PrefetchController`` finds that it pays.
  case auto
  /// Always ``PreviousTokenPredictor``.
  case previousToken = "previous-token"
  /// Always ``PopularityPredictor``.
  case popularity
  /// Always ``NextLayerRouterPredictor``.
  case nextLayerRouter = "next-layer-router"

  /// The predictor of this choice, or nil for ``off``.
  /// - Parameters:
  ///   - layerCount: Decoder layers.
  ///   - expertCount: Experts of the largest layer.
  ///   - usedCount: Most experts that a token uses in a layer.
  /// - Returns: A predictor that knows nothing yet.
  package func makePredictor(
    layerCount: Int, expertCount: Int, usedCount: Int
  ) -> (any ExpertPredictor)? {
    switch self {
    case .off: nil
    case .previousToken: PreviousTokenPredictor(layerCount: layerCount, usedCount: usedCount)
    case .popularity: PopularityPredictor(layerCount: layerCount, expertCount: expertCount)
    // The experts of the last token and the popular ones are in the cache as a rule: what is left to
    // predict is what the cache does not hold, and of that only the router knows.
    case .auto, .nextLayerRouter: NextLayerRouterPredictor(usedCount: usedCount)
    }
  }
}
