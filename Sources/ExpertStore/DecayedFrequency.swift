/// Evicts the expert with the smallest sum of uses, each use weighing half as much after every
/// ``halfLife`` steps.
///
/// This is LRFU (Lee et al., "LRFU: A Spectrum of Policies that Subsumes the Least Recently Used and
/// Least Frequently Used Policies", IEEE Trans. Computers 50(12), 2001) with the half-life in place
/// of its lambda. The sum of an expert is kept when the expert is evicted, so one that comes back
/// does not start from nothing. Instead of shrinking all sums as time goes on, the weight of a new
/// use grows: the order is the same, and a use costs one addition. The slots that may be evicted
/// are a binary heap; listing one costs O(log slots).
package struct DecayedFrequency: EvictionPolicy {
  /// Steps (tokens, or chunks of a prompt) after which a use counts half.
  ///
  /// Measured on recorded routing of Qwen3-30B-A3B, Gemma-4-26B-A4B and gpt-oss-120b, decode hit
  /// rate with slots for 1/16, 1/8, 3/16 and 1/4 of the experts: 12 is within 0.6 points of the best
  /// of 4 to 512 everywhere but in one case (0.8), and nowhere below LRU; 128 and more lose up to 3
  /// points to LRU on gpt-oss.
  package static let defaultHalfLife = 12.0

  /// Sums are scaled down by the inverse of this when the weight reaches it: far from the largest
  /// Double, and a power of two, so that scaling is exact.
  private static let largestWeight = 0x1p512

  /// By dense expert number: sum of uses, in units of a use at the start of the run.
  private var sums: [Double]
  /// What a use counts now.
  private var weight = 1.0
  /// Factor of ``weight`` from one pass to the next.
  private let growth: Double
  /// Slots that may be evicted; the first one is the victim, the rest a binary heap.
  private var heap: [Int32]
  /// By slot: index in ``heap``, -1 for a slot that is not listed.
  private var positions: [Int32]
  /// By slot: sum of the expert it held when it was listed, -1 for none.
  private var listedSums: [Double]
  /// By slot: number of the listing, which breaks ties in favour of recency.
  private var stamps: [Int64]
  private var listings: Int64 = 0
  /// Listings of experts that were never used, counted down: the last one is evicted first.
  private var unusedListings: Int64 = 0

  /// Lists all of `slotCount` slots, in order of their number.
  /// - Parameters:
  ///   - slotCount: Slots.
  ///   - keyCount: Experts of all layers.
  ///   - layerCount: Layers with experts: passes of one step.
  ///   - halfLife: Steps after which a use counts half, more than 0.
  package init(
    slotCount: Int, keyCount: Int, layerCount: Int, halfLife: Double = defaultHalfLife
  ) {
    sums = [Double](repeating: 0, count: keyCount)
    // 2^(1 / passes) to first order, 1 part in 10^7 off at 1000 passes: no libm, same bits anywhere.
    growth = 1 + 0.693_147_180_559_945_3 / max(1, halfLife * Double(max(1, layerCount)))
    heap = []
    heap.reserveCapacity(slotCount)
    positions = [Int32](repeating: -1, count: slotCount)
    listedSums = [Double](repeating: -1, count: slotCount)
    stamps = [Int64](repeating: 0, count: slotCount)
    for slot in 0..<slotCount { insert(slot, key: nil) }
  }

  package var followed: CachePolicy { .crf }
  package var isEmpty: Bool { heap.isEmpty }

  package mutating func beginPass(_ experts: [Int32], firstKey: Int) {
    weight *= growth
    if weight >= Self.largestWeight { rescale() }
    for expert in experts { sums[firstKey + Int(expert)] += weight }
  }

  package mutating func insert(_ slot: Int, key: Int?) {
    listings += 1
    insert(slot, sum: key.map { sums[$0] } ?? -1, stamp: listings)
  }

  package mutating func insertUnused(_ slot: Int, key: Int) {
    unusedListings -= 1
    // An expert that was used before it was evicted and read ahead keeps its sum of uses.
    insert(slot, sum: sums[key], stamp: unusedListings)
  }

  private mutating func insert(_ slot: Int, sum: Double, stamp: Int64) {
    precondition(positions[slot] < 0)
    listedSums[slot] = sum
    stamps[slot] = stamp
    positions[slot] = Int32(heap.count)
    heap.append(Int32(slot))
    moveUp(heap.count - 1)
  }

  package mutating func remove(_ slot: Int) {
    let position = Int(positions[slot])
    guard position >= 0 else { return }
    positions[slot] = -1
    let last = heap.removeLast()
    guard position < heap.count else { return }
    place(last, at: position)
    moveUp(position)
    moveDown(Int(positions[Int(last)]))
  }

  package var victim: Int? { heap.first.map { Int($0) } }

  package mutating func popVictim() -> Int? {
    guard let slot = heap.first else { return nil }
    remove(Int(slot))
    return Int(slot)
  }

  private func precedes(_ first: Int32, _ second: Int32) -> Bool {
    let (a, b) = (listedSums[Int(first)], listedSums[Int(second)])
    return a == b ? stamps[Int(first)] < stamps[Int(second)] : a < b
  }

  private mutating func place(_ slot: Int32, at position: Int) {
    heap[position] = slot
    positions[Int(slot)] = Int32(position)
  }

  private mutating func moveUp(_ start: Int) {
    var position = start
    let slot = heap[position]
    while position > 0, precedes(slot, heap[(position - 1) / 2]) {
      place(heap[(position - 1) / 2], at: position)
      position = (position - 1) / 2
    }
    place(slot, at: position)
  }

  private mutating func moveDown(_ start: Int) {
    var position = start
    let slot = heap[position]
    while true {
      var child = 2 * position + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, precedes(heap[child + 1], heap[child]) { child += 1 }
      guard precedes(heap[child], slot) else { break }
      place(heap[child], at: position)
      position = child
    }
    place(slot, at: position)
  }

  /// Divides every sum by the largest weight. What underflows to 0 is ordered by recency from then
  /// on, so the heap is built anew.
  private mutating func rescale() {
    let factor = 1 / Self.largestWeight
    weight *= factor
    for key in sums.indices { sums[key] *= factor }
    for slot in listedSums.indices where listedSums[slot] > 0 { listedSums[slot] *= factor }
    for position in stride(from: heap.count / 2 - 1, through: 0, by: -1) { moveDown(position) }
  }
}
