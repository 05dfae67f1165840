/// How a chunk of a prompt goes through the slots: experts in the order given, each once, reads
/// running ahead of the one that computes.
///
/// A chunk of some hundred tokens uses nearly every expert of every layer. Where those are more than
/// the slots, the expert used last is the one whose next use is furthest away, and any order of
/// recency evicts every expert just before it comes back, the ones that generated tokens use most
/// included. Such a chunk is a scan: what it reads passes through a ring of slots, each given up as
/// soon as its expert is computed, and what was held before stays.
struct ChunkRing {
  /// Experts that the chunk may hold without computing them, beside those that were there at its
  /// start. 16 experts in quarters are 64 reads, as many as the deepest queue has in flight; two thirds
  /// of the slots where there are few, so that some experts that are there are kept as well.
  let depth: Int
  /// Experts found in a slot that are kept for the chunk from its start, the first ones. The others
  /// may have to make room before their turn comes.
  let keptHits: Int
  /// Whether a slot whose expert was read for this chunk is evicted first once it is computed.
  let isScan: Bool

  /// The largest ``depth``.
  static let largestDepth = 16

  /// The ring of a chunk that uses `expertCount` experts in a layer.
  /// - Parameters:
  ///   - expertCount: Distinct experts of the chunk in the layer.
  ///   - layerCount: Layers with experts.
  ///   - slotCount: Slots of the store.
  init(expertCount: Int, layerCount: Int, slotCount: Int) {
    depth = min(Self.largestDepth, max(1, slotCount * 2 / 3))
    keptHits = slotCount - depth
    isScan = expertCount * layerCount > slotCount
  }
}
