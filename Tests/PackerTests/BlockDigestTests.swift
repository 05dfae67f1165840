import FileIO
import Foundation
import TestSupport
import Testing

@Suite("Digests from pieces in any order")
struct BlockDigestTests {
  /// Lengths around everything that XXH3 treats differently: short inputs, stripes, blocks.
  static let lengths = [
    0, 1, 16, 128, 240, 241, 512, 1023, 1024, 1025, 1087, 1088, 2048, 4097, 70_001,
  ]

  @Test("the digest is XXH3-128, whatever was summed first", arguments: lengths)
  func digest(length: Int) {
    var random = RandomBytes(seed: UInt64(length))
    let bytes = random.next(count: length)
    bytes.withUnsafeBytes { bytes in
      var digest = BlockDigest(byteCount: UInt64(length))
      let count = Int(digest.blockCount)
      var sums = [[UInt64]](repeating: [], count: count)
      for block in (0..<count).shuffled(using: &random) {
        sums[block] = BlockDigest.sums(
          of: UnsafeRawBufferPointer(rebasing: bytes[(block * 1024)...]), count: 1)
      }
      for (block, sum) in sums.enumerated() {
        sum.withUnsafeBytes { digest.fold($0) }
        // The state is data: a digest goes on from it.
        if block == count / 2 {
          digest =
            BlockDigest(
              byteCount: UInt64(length), lanes: digest.lanes, folded: digest.folded) ?? digest
        }
      }
      let rest = bytes.suffix(BlockDigest.restBytes(byteCount: UInt64(length)))
      #expect(
        digest.value(rest: UnsafeRawBufferPointer(rebasing: rest)) == XXH3.hash128(bytes))
    }
  }

  @Test("a state that no file of the length has is refused")
  func badState() {
    #expect(BlockDigest(byteCount: 5000, lanes: [1, 2, 3], folded: 1) == nil)
    #expect(
      BlockDigest(byteCount: 5000, lanes: [UInt64](repeating: 0, count: 8), folded: 5) == nil)
  }

  @Test(
    "results are taken over in order, and an error ends the work after all that comes before it",
    arguments: [1, 3, 8])
  func orderedWork(threads: Int) throws {
    let taken = Taken()
    try OrderedWork.forEach(500, threads: threads, window: 5) { index -> Int in
      if index % 7 == 0 { usleep(200) }
      return index * 2
    } commit: { index, value in
      taken.add(index, value)
    }
    #expect(taken.values == (0..<500).map { $0 * 2 })

    let failed = Taken()
    let error = #expect(throws: FileIOError.self) {
      try OrderedWork.forEach(500, threads: threads, window: 5) { index -> Int in
        guard index != 100 else { throw FileIOError(.system, path: "x", message: "stop") }
        return index * 2
      } commit: { index, value in
        failed.add(index, value)
      }
    }
    #expect(error?.message == "stop")
    #expect(failed.values == (0..<100).map { $0 * 2 })

    // Nothing is taken after a result that could not be.
    let refused = Taken()
    #expect(throws: FileIOError.self) {
      try OrderedWork.forEach(500, threads: threads, window: 5) {
        $0 * 2
      } commit: { index, value in
        guard index != 100 else { throw FileIOError(.system, path: "x", message: "stop") }
        refused.add(index, value)
      }
    }
    #expect(refused.values == (0..<100).map { $0 * 2 })
  }

  /// Results in the order in which they came.
  private final class Taken: @unchecked Sendable {
    // Sendable: one thread at a time commits, which is what the test is about.
    private(set) var values: [Int] = []
    func add(_ index: Int, _ value: Int) { values.append(value) }
  }
}
