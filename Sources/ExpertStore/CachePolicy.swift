/// Which expert makes room when a slot is needed. No choice changes any result, only what is read.
public enum CachePolicy: String, Sendable, CaseIterable {
  /// Whichever of the other two would have hit more of late: ``AdaptivePolicy``.
  case auto
  /// The expert whose last use is longest ago: ``LeastRecentlyUsed``.
  case lru
  /// The expert with the fewest uses, recent ones counting more (combined recency and frequency):
  /// ``DecayedFrequency``.
  case crf

  /// The policy for `slotCount` slots that hold some of `keyCount` experts.
  /// - Parameters:
  ///   - slotCount: Slots, all free.
  ///   - keyCount: Experts of all layers, numbered from 0.
  ///   - layerCount: Layers with experts: passes of one step.
  ///   - largestPass: Most experts of one pass, those of the largest layer.
  /// - Returns: The policy, with every slot listed and empty.
  package func makePolicy(
    slotCount: Int, keyCount: Int, layerCount: Int, largestPass: Int
  ) -> any EvictionPolicy {
    switch self {
    case .lru:
      LeastRecentlyUsed(slotCount: slotCount)
    case .crf:
      DecayedFrequency(slotCount: slotCount, keyCount: keyCount, layerCount: layerCount)
    case .auto:
      AdaptivePolicy(
        slotCount: slotCount, keyCount: keyCount, layerCount: layerCount,
        largestPass: largestPass)
    }
  }
}
