internal import CDigest

/// XXH3-128 of a file from sums of its blocks, which may be taken in any order and by any thread.
///
/// Only ``fold(_:)`` follows the order of the file: 64 bytes a block of 1024, 180 GB/s of file on one
/// Zen 4 core. The state is plain data, so that a digest can go on after the process has ended.
public struct BlockDigest: Sendable, Equatable {
  /// Bytes of a block.
  public static let blockBytes = 1024
  /// Bytes of the sums of a block.
  public static let sumBytes = 64

  /// Bytes of the file.
  public let byteCount: UInt64
  /// The accumulators, eight of them.
  public private(set) var lanes: [UInt64]
  /// Blocks folded so far.
  public private(set) var folded: UInt64

  /// The digest of a file of `byteCount` bytes, of which nothing has been folded.
  public init(byteCount: UInt64) {
    self.byteCount = byteCount
    folded = 0
    lanes = [UInt64](repeating: 0, count: Int(CD_LANES))
    lanes.withUnsafeMutableBufferPointer { if let base = $0.baseAddress { cd_start(base) } }
  }

  /// The digest as it was when it had these values; nil when they fit no file of `byteCount` bytes.
  public init?(byteCount: UInt64, lanes: [UInt64], folded: UInt64) {
    self.init(byteCount: byteCount)
    guard lanes.count == self.lanes.count, folded <= blockCount else { return nil }
    self.lanes = lanes
    self.folded = folded
  }

  /// Blocks to fold: all but the last, which is part of ``restBytes``.
  public var blockCount: UInt64 { byteCount == 0 ? 0 : (byteCount - 1) / UInt64(Self.blockBytes) }

  /// Bytes at the end of a file of `byteCount` bytes that ``value(rest:)`` asks for.
  public static func restBytes(byteCount: UInt64) -> Int {
    Int(min(byteCount, UInt64(blockBytes + 64)))
  }

  /// Writes the sums of the whole blocks at `bytes`, as many as `sums` has room for.
  public static func sums(
    of bytes: UnsafeRawBufferPointer, into sums: UnsafeMutableRawBufferPointer
  ) {
    let count = sums.count / sumBytes
    precondition(bytes.count >= count * blockBytes)
    guard count > 0, let source = bytes.baseAddress else { return }
    cd_block_sums(
      source, count, sums.bindMemory(to: UInt64.self).baseAddress.unsafelyUnwrapped)
  }

  /// The sums of the first `count` whole blocks at `bytes`.
  public static func sums(of bytes: UnsafeRawBufferPointer, count: Int) -> [UInt64] {
    let words = count * sumBytes / 8
    return [UInt64](unsafeUninitializedCapacity: words) { storage, initialized in
      sums(
        of: bytes,
        into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: storage[..<words]))
      )
      initialized = words
    }
  }

  /// Adds the sums of the blocks that follow those folded so far.
  public mutating func fold(_ sums: UnsafeRawBufferPointer) {
    let count = sums.count / Self.sumBytes
    precondition(UInt64(count) <= blockCount - folded, "more blocks than the file has")
    guard count > 0, let source = sums.assumingMemoryBound(to: UInt64.self).baseAddress else {
      return
    }
    lanes.withUnsafeMutableBufferPointer {
      if let base = $0.baseAddress { cd_fold(base, source, count) }
    }
    folded += UInt64(count)
  }

  /// The digest of the file, of which every block has been folded and `rest` are the last
  /// ``restBytes(byteCount:)`` bytes.
  public func value(rest: UnsafeRawBufferPointer) -> Digest128 {
    precondition(folded == blockCount && rest.count == Self.restBytes(byteCount: byteCount))
    guard byteCount >= UInt64(CD_LONG_BYTES),
      let bytes = rest.assumingMemoryBound(to: UInt8.self).baseAddress
    else { return XXH3.hash128(rest) }
    var digest: [UInt64] = [0, 0]
    lanes.withUnsafeBufferPointer { lanes in
      digest.withUnsafeMutableBufferPointer { digest in
        guard let lanes = lanes.baseAddress, let digest = digest.baseAddress else { return }
        cd_finish(lanes, byteCount, bytes, rest.count, digest)
      }
    }
    return Digest128(high: digest[0], low: digest[1])
  }
}
