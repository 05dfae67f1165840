/// Random 64-bit words by number: any word without those before it, so that threads may fill parts
/// of a tensor in any order.
///
/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) counts
/// where other generators iterate. Two multiplications a word; 5 GB/s on one thread of a 2020s
/// server.
struct RandomWords: Sendable {
  private let state: UInt64

  init(seed: UInt64) { state = seed }

  /// Fills `target`, whole words, with the words from number `firstWord`.
  func fill(_ target: UnsafeMutableRawBufferPointer, firstWord: UInt64) {
    precondition(target.count % 8 == 0)
    guard let base = target.baseAddress else { return }
    var counter = state &+ firstWord &* Self.step
    for offset in stride(from: 0, to: target.count, by: 8) {
      counter &+= Self.step
      base.storeBytes(of: Self.mix(counter).littleEndian, toByteOffset: offset, as: UInt64.self)
    }
  }

  private static let step: UInt64 = 0x9E37_79B9_7F4A_7C15

  @inline(__always)
  private static func mix(_ counter: UInt64) -> UInt64 {
    var mixed = counter
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
