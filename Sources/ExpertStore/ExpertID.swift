/// Names an expert of a model.
public struct ExpertID: Hashable, Sendable {
  /// Decoder layer.
  public let layer: Int
  /// Expert within the layer.
  public let expert: Int

  /// Expert `expert` of layer `layer`.
  public init(layer: Int, expert: Int) {
    self.layer = layer
    self.expert = expert
  }
}
