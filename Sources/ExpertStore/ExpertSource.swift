public import ExpertPack

/// What the store needs to know of a pack: its files, and where in them every expert lies.
public struct ExpertSource: Sendable {
  /// The pack as the user named it, for messages.
  public let name: String
  /// Paths of the files that ``ExpertPlacement/Read`` counts.
  public let files: [String]
  /// Experts of every decoder layer, by layer; 0 for a layer without any.
  public let expertCounts: [Int]
  /// Bytes that hold the largest expert with all of its reads.
  public let slotBytes: Int
  /// Where expert `expert` of layer `layer` lies; called for experts within ``expertCounts`` only.
  public let placement: @Sendable (_ layer: Int, _ expert: Int) -> ExpertPlacement

  /// Describes a pack by hand.
  public init(
    name: String, files: [String], expertCounts: [Int], slotBytes: Int,
    placement: @escaping @Sendable (_ layer: Int, _ expert: Int) -> ExpertPlacement
  ) {
    self.name = name
    self.files = files
    self.expertCounts = expertCounts
    self.slotBytes = slotBytes
    self.placement = placement
  }

  /// Describes an opened pack.
  /// - Parameters:
  ///   - pack: The pack; kept for its placements.
  ///   - layerCount: Layers to serve, from the first; nil for all. Blocks behind the decoder layers
  ///     predict further tokens and would only claim slots.
  public init(pack: PackDirectory, layerCount: Int? = nil) {
    let layers = pack.expertLayers.filter { $0.layer < layerCount ?? Int.max }
    var counts = [Int](repeating: 0, count: (layers.map(\.layer).max() ?? -1) + 1)
    for layer in layers { counts[layer.layer] = layer.expertCount }
    self.init(
      name: pack.path, files: pack.files.map(\.path), expertCounts: counts,
      slotBytes: pack.maximumSlotBytes
    ) { pack.placement(layer: $0, expert: $1) }
  }

  /// Experts of all layers together.
  public var expertCount: Int { expertCounts.reduce(0, +) }
}
