/// The bytes of every token, and the way back from bytes to the token.
///
/// One flat buffer and an open-addressing table: building one for 250,000 tokens allocates a
/// handful of times, and a lookup hashes and compares bytes in place.
struct TokenTable: Sendable {
  /// The bytes of all tokens, one after the other.
  private var bytes: [UInt8] = []
  /// Where each token starts in `bytes`, and the end of the last one. [tokens + 1]
  private var offsets: [Int] = [0]
  /// Token ids by hash of their bytes, -1 where free; a power of two, at most half full.
  private var slots: [Int32]

  /// An empty table with room for `capacity` tokens.
  init(capacity: Int) {
    var size = 16
    while size < 2 * capacity { size *= 2 }
    slots = [Int32](repeating: -1, count: size)
    offsets.reserveCapacity(capacity + 1)
  }

  /// Number of tokens.
  var count: Int { offsets.count - 1 }

  /// The bytes of a token. Traps when there is no such token.
  subscript(id: Int32) -> ArraySlice<UInt8> {
    bytes[offsets[Int(id)]..<offsets[Int(id) + 1]]
  }

  /// Appends the next token.
  /// - Parameters:
  ///   - token: Its bytes.
  ///   - isSearchable: Whether ``id(of:)`` finds it.
  /// - Returns: The token with the same bytes that is searchable already, if any.
  mutating func append(_ token: [UInt8], isSearchable: Bool) -> Int32? {
    let id = Int32(count)
    bytes.append(contentsOf: token)
    offsets.append(bytes.count)
    guard isSearchable else { return nil }
    let slot = slot(of: token.span)
    guard slots[slot] < 0 else { return slots[slot] }
    slots[slot] = id
    return nil
  }

  /// The searchable token with exactly these bytes, or nil.
  func id(of token: Span<UInt8>) -> Int32? {
    let id = slots[slot(of: token)]
    return id < 0 ? nil : id
  }

  /// The slot that holds the token, or the free one where it belongs.
  private func slot(of token: Span<UInt8>) -> Int {
    // FNV-1a with a final mix, since the low bits of FNV alone cluster.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in token.indices { hash = (hash ^ UInt64(token[index])) &* 0x100_0000_01B3 }
    hash = (hash ^ (hash >> 29)) &* 0xBF58_476D_1CE4_E5B9
    var slot = Int(truncatingIfNeeded: hash ^ (hash >> 32)) & (slots.count - 1)
    while slots[slot] >= 0, !isEqual(slots[slot], token) {
      slot = (slot + 1) & (slots.count - 1)
    }
    return slot
  }

  private func isEqual(_ id: Int32, _ token: Span<UInt8>) -> Bool {
    let start = offsets[Int(id)]
    guard offsets[Int(id) + 1] - start == token.count else { return false }
    for index in token.indices where bytes[start + index] != token[index] { return false }
    return true
  }
}
