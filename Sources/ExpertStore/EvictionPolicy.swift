/// The order in which slots are evicted.
///
/// A policy lists the slots that may be evicted, and only those: a pinned slot, or one that is being
/// read into, is taken out and put back when its last user has left. All slots of a new policy are
/// listed and empty. Nothing here may depend on time or on addresses: the same calls give the same
/// victims. No operation allocates.
package protocol EvictionPolicy: Sendable {
  /// Notes that a pass over distinct `experts` of one layer begins; expert e has the dense number
  /// `firstKey + e`. Called after the pass's resident experts were taken out.
  mutating func beginPass(_ experts: [Int32], firstKey: Int)

  /// Lists `slot`, which its last user has just left and which holds expert `key`; nil for a slot
  /// that holds nothing of value, which is then evicted first.
  mutating func insert(_ slot: Int, key: Int?)

  /// Lists `slot`, which holds expert `key` that was read ahead and that nobody has used yet: it is
  /// evicted after slots that hold nothing of value and before experts that were used in this run, of
  /// several the last one listed first.
  mutating func insertUnused(_ slot: Int, key: Int)

  /// Takes `slot` out; nothing happens when it is not listed.
  mutating func remove(_ slot: Int)

  /// The slot that ``popVictim()`` would take out, or nil.
  var victim: Int? { get }

  /// Takes out the slot to evict, or returns nil when no slot may be evicted.
  mutating func popVictim() -> Int?

  /// Whether no slot may be evicted.
  var isEmpty: Bool { get }

  /// The policy whose order decides at present; that of this policy unless it follows others.
  var followed: CachePolicy { get }
}
