internal import FileIO
internal import Synchronization

/// XXH3-128 of a source shard whose bytes arrive in the order in which a pack is made, each once.
///
/// The digest is of the bytes in file order, and a pack wants those of a layer's tensors together, which
/// lie gigabytes apart. So the sums of blocks (``BlockDigest``) that come too early wait in a sparse
/// file: a sixteenth of the bytes, mostly gone before the page cache has written them, and durable where
/// a conversion has to go on after a kill. Any thread may add.
final class ShardDigest: Sendable {
  /// Unit in which bytes arrive.
  static let pageBytes: UInt64 = 4096
  private static let blocksPerPage = pageBytes / UInt64(BlockDigest.blockBytes)
  private static let sumsPerPage = blocksPerPage * UInt64(BlockDigest.sumBytes)
  /// Bytes of sums that are read back at a time: of 4 MiB of the shard.
  private static let foldBytes = 256 << 10

  /// Everything that a digest needs to go on later, but the bytes of the file of sums.
  struct Snapshot: Sendable {
    var digest: BlockDigest
    /// Pages whose sums have been taken.
    var pages: PageRanges
    /// The last bytes of the shard.
    var rest: [UInt8]
  }

  private struct State {
    var snapshot: Snapshot
    var sums: File?
    var hasUnsyncedSums = false
  }
  private let byteCount: UInt64
  private let sumsPath: String
  private let state: Mutex<State>

  /// A digest that goes on from `snapshot`; sums that have to wait go to a file at `sumsPath`.
  init(from snapshot: Snapshot, sumsPath: String) {
    byteCount = snapshot.digest.byteCount
    self.sumsPath = sumsPath
    state = Mutex(State(snapshot: snapshot))
  }

  /// The start of the digest of a shard of `byteCount` bytes that ends in `rest`.
  static func start(byteCount: UInt64, rest: [UInt8]) -> Snapshot {
    precondition(rest.count == BlockDigest.restBytes(byteCount: byteCount))
    return Snapshot(digest: BlockDigest(byteCount: byteCount), pages: PageRanges(), rest: rest)
  }

  /// Whether `digest` may have folded what it has while the sums of `pages` have been taken.
  static func isConsistent(_ digest: BlockDigest, _ pages: PageRanges) -> Bool {
    digest.folded == blocks(0..<pages.prefix, of: digest).upperBound
  }

  /// Length of a file of sums that reaches up to page `end`.
  static func sumsBytes(of end: UInt64, _ digest: BlockDigest) -> UInt64 {
    blocks(0..<end, of: digest).upperBound * UInt64(BlockDigest.sumBytes)
  }

  private var pageCount: UInt64 { (byteCount + Self.pageBytes - 1) / Self.pageBytes }

  private static func blocks(_ pages: Range<UInt64>, of digest: BlockDigest) -> Range<UInt64> {
    let end = min(pages.upperBound * blocksPerPage, digest.blockCount)
    return min(pages.lowerBound * blocksPerPage, end)..<end
  }

  /// Room for the sums of `byteCount` bytes.
  static func scratchBytes(for byteCount: Int) -> Int {
    (byteCount / BlockDigest.blockBytes + 8) * BlockDigest.sumBytes
  }

  /// Adds `bytes`, which start at `offset`, a whole page, and end at a page or with the shard. Bytes that
  /// have been added before are left out. `scratch` is the caller's for the time of the call.
  func add(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64, scratch: UnsafeMutableRawBufferPointer
  ) throws {
    precondition(offset % Self.pageBytes == 0)
    let first = offset / Self.pageBytes
    let pages = first..<(offset + UInt64(bytes.count) + Self.pageBytes - 1) / Self.pageBytes
    let all = state.withLock { Self.blocks(pages, of: $0.snapshot.digest) }
    let sums = scratch.part(0..<all.count * BlockDigest.sumBytes)
    BlockDigest.sums(of: bytes, into: sums)
    try state.withLock { state in
      for part in state.snapshot.pages.missing(in: pages) {
        let blocks = Self.blocks(part, of: state.snapshot.digest)
        let start = Int(min(blocks.lowerBound, all.upperBound) - all.lowerBound)
        let partSums = UnsafeRawBufferPointer(sums).part(
          start * BlockDigest.sumBytes..<(start + blocks.count) * BlockDigest.sumBytes)
        if blocks.lowerBound == state.snapshot.digest.folded {
          state.snapshot.digest.fold(partSums)
        } else if !partSums.isEmpty {
          try file(&state).write(partSums, at: part.lowerBound * Self.sumsPerPage)
          state.hasUnsyncedSums = true
        }
        state.snapshot.pages.insert(part)
      }
      try foldWaiting(&state)
    }
  }

  /// Folds the sums that waited for the bytes before them.
  private func foldWaiting(_ state: inout State) throws {
    let ready = Self.blocks(0..<state.snapshot.pages.prefix, of: state.snapshot.digest).upperBound
    guard state.snapshot.digest.folded < ready else { return }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.foldBytes, alignment: 64)
    defer { buffer.deallocate() }
    while state.snapshot.digest.folded < ready {
      let folded = state.snapshot.digest.folded
      let count = min(ready - folded, UInt64(Self.foldBytes / BlockDigest.sumBytes))
      let part = buffer.part(0..<Int(count) * BlockDigest.sumBytes)
      try file(&state).readExactly(into: part, at: folded * UInt64(BlockDigest.sumBytes))
      state.snapshot.digest.fold(UnsafeRawBufferPointer(part))
    }
  }

  private func file(_ state: inout State) throws -> File {
    if let file = state.sums { return file }
    let file = try File.continuing(sumsPath)
    state.sums = file
    return file
  }

  /// The state as it is, with all that waits on stable storage.
  func durableSnapshot() throws -> Snapshot {
    try state.withLock { state in
      if state.hasUnsyncedSums {
        try state.sums?.synchronize()
        state.hasUnsyncedSums = false
      }
      return state.snapshot
    }
  }

  /// Gives back the room of sums that `snapshot`, from where the digest would go on, has folded.
  func discardSums(before snapshot: Snapshot) {
    state.withLock { state in
      guard let file = state.sums else { return }
      let end = snapshot.digest.folded * UInt64(BlockDigest.sumBytes) / 65536 * 65536
      // Where there are no holes, the room is given back at the end.
      try? file.punch(0..<end)
    }
  }

  /// Page ranges that have not been added, in bytes.
  var missing: [Range<UInt64>] {
    let pages = state.withLock { $0.snapshot.pages }
    return pages.missing(in: 0..<pageCount).map {
      $0.lowerBound * Self.pageBytes..<min($0.upperBound * Self.pageBytes, byteCount)
    }
  }

  /// The digest, once nothing is ``missing``.
  var value: Digest128 {
    let snapshot = state.withLock { $0.snapshot }
    return snapshot.rest.withUnsafeBytes { snapshot.digest.value(rest: $0) }
  }
}
