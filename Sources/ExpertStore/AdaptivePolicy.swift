/// Follows the one of ``LeastRecentlyUsed`` and ``DecayedFrequency`` that hits more.
///
/// Two directories without data, of the same number of slots, replay every pass, one with each
/// policy. They count what each alone would have hit, experts included that the store itself has
/// evicted; the lead of one over the other decays with ``halfLife``. The order of both is kept over
/// the store's own slots, so that a change of leader takes effect with the next victim.
package struct AdaptivePolicy: EvictionPolicy {
  /// Steps after which a hit of a directory counts half: long enough not to follow noise, short
  /// against a conversation.
  package static let halfLife = 64.0
  /// Lead that a change takes, as a share of the requests that count.
  private static let margin = 0.002

  private var recency: LeastRecentlyUsed
  private var frequency: DecayedFrequency
  private var recencyShadow: CacheDirectory
  private var frequencyShadow: CacheDirectory
  private let decay: Double
  /// Decayed hits that frequency has more than recency.
  private var lead = 0.0
  /// Decayed requests.
  private var requests = 0.0
  /// Starts with the one that hit more on every recorded model.
  private var followsFrequency = true

  /// Lists all of `slotCount` slots, in order of their number.
  package init(slotCount: Int, keyCount: Int, layerCount: Int, largestPass: Int) {
    recency = LeastRecentlyUsed(slotCount: slotCount)
    frequency = DecayedFrequency(
      slotCount: slotCount, keyCount: keyCount, layerCount: layerCount)
    func shadow(_ policy: CachePolicy) -> CacheDirectory {
      CacheDirectory(
        policy: policy, slotCount: slotCount, keyCount: keyCount, layerCount: layerCount,
        largestPass: largestPass)
    }
    recencyShadow = shadow(.lru)
    frequencyShadow = shadow(.crf)
    decay = 1 - 0.693_147_180_559_945_3 / max(1, Self.halfLife * Double(max(1, layerCount)))
  }

  package var followed: CachePolicy { followsFrequency ? .crf : .lru }
  package var isEmpty: Bool { recency.isEmpty }

  package mutating func beginPass(_ experts: [Int32], firstKey: Int) {
    let hits = (
      recencyShadow.serve(experts, firstKey: firstKey),
      frequencyShadow.serve(experts, firstKey: firstKey)
    )
    lead = lead * decay + Double(hits.1 - hits.0)
    requests = requests * decay + Double(experts.count)
    if abs(lead) > Self.margin * requests { followsFrequency = lead > 0 }
    frequency.beginPass(experts, firstKey: firstKey)
  }

  package mutating func insert(_ slot: Int, key: Int?) {
    recency.insert(slot, key: key)
    frequency.insert(slot, key: key)
  }

  package mutating func insertUnused(_ slot: Int, key: Int) {
    recency.insertUnused(slot, key: key)
    frequency.insertUnused(slot, key: key)
  }

  package mutating func remove(_ slot: Int) {
    recency.remove(slot)
    frequency.remove(slot)
  }

  package var victim: Int? { followsFrequency ? frequency.victim : recency.victim }

  package mutating func popVictim() -> Int? {
    let victim = followsFrequency ? frequency.popVictim() : recency.popVictim()
    guard let victim else { return nil }
    if followsFrequency { recency.remove(victim) } else { frequency.remove(victim) }
    return victim
  }
}
