import GGUF
import GGUFTestSupport
import Testing

/// Damaged headers: refused with an error, or read as something sound; never a trap.
@Suite struct MutationTests {
  /// Parses `bytes`, checks whatever is accepted, and tells whether it was.
  private func isAccepted(_ bytes: [UInt8], fileSize: UInt64) throws -> Bool {
    var accepted: GGUFHeader?
    let error = try ggufError { accepted = try parseHeader(bytes, fileSize: fileSize) }
    if let accepted {
      #expect(violations(in: accepted, fileSize: fileSize) == [])
      return true
    }
    #expect(error?.message.isEmpty == false)
    return false
  }

  @Test("every prefix of a header is refused")
  func truncations() throws {
    let (bytes, fileSize) = try sampleHeader()
    for length in 0..<bytes.count {
      let prefix = Array(bytes.prefix(length))
      #expect(try isAccepted(prefix, fileSize: UInt64(length)) == false)
      // The same bytes at the start of a file that is long enough are still only a prefix.
      #expect(try isAccepted(prefix, fileSize: fileSize) == false)
    }
    #expect(try isAccepted(bytes, fileSize: fileSize))
  }

  @Test("every single flipped bit is refused or gives a sound header")
  func flips() throws {
    let (bytes, fileSize) = try sampleHeader()
    var accepted = 0
    for index in bytes.indices {
      for bit in 0..<8 {
        var flipped = bytes
        flipped[index] ^= 1 << bit
        if try isAccepted(flipped, fileSize: fileSize) { accepted += 1 }
      }
    }
    // Names and values may change to others that are as good; most of the structure may not.
    #expect(accepted < bytes.count * 8 * 3 / 4)
  }

  @Test("50,000 random mutations are refused or give sound headers", arguments: 0..<10)
  func mutations(seed: Int) throws {
    let (bytes, fileSize) = try sampleHeader()
    let interesting: [UInt64] = [
      0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63,
      .max, .max - 31,
    ]
    var random = RandomSource(seed: UInt64(seed))
    for _ in 0..<5_000 {
      var mutated = bytes
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let index = Int.random(in: 0..<mutated.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: mutated[index] = UInt8(truncatingIfNeeded: random.next())
        case 1:
          var value = interesting[Int.random(in: 0..<interesting.count, using: &random)]
          for position in index..<min(index + 8, mutated.count) {
            mutated[position] = UInt8(truncatingIfNeeded: value)
            value >>= 8
          }
        case 2: mutated.remove(at: index)
        case 3: mutated.insert(UInt8(truncatingIfNeeded: random.next()), at: index)
        default:
          let other = Int.random(in: 0..<mutated.count, using: &random)
          let length = min(
            Int.random(in: 1...32, using: &random), mutated.count - max(index, other))
          mutated.replaceSubrange(
            index..<index + length, with: Array(mutated[other..<other + length]))
        }
      }
      _ = try isAccepted(mutated, fileSize: fileSize)
    }
  }
}
