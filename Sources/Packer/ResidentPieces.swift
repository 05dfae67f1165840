internal import ExpertPack
internal import GGUF

/// Which bytes of the source make up a part of the resident image.
struct ResidentPieces: Sendable {
  /// A part of a tensor.
  struct Piece: Sendable {
    let shard: Int
    /// Bytes of the shard.
    let source: Range<UInt64>
    /// Bytes of the shard that are the whole tensor.
    let tensor: Range<UInt64>
    /// Where the bytes begin in the image.
    let imageOffset: UInt64
  }

  /// Pieces that lie so near to each other in a shard that they are read at once.
  struct Run: Sendable {
    let shard: Int
    var source: Range<UInt64>
    var pieces: [Piece]
  }

  private struct Entry: Sendable {
    let start: UInt64
    let shard: Int
    let source: Range<UInt64>
  }
  /// In the order of the image.
  private let entries: [Entry]

  /// Bytes between two pieces that are read along rather than skipped.
  private static let gapBytes: UInt64 = 64 << 10
  /// Bytes of a run, so that it fits beside the part of the image that it goes to.
  static let runBytes = 8 << 20

  init(source: GGUFFile, layout: PackLayout) {
    entries = layout.residentOrder.compactMap { index in
      guard case .resident(let start) = layout.places[index] else { return nil }
      let tensor = source.tensors[index]
      guard tensor.byteCount > 0 else { return nil }
      return Entry(
        start: start, shard: tensor.shard,
        source: tensor.offset..<tensor.offset + tensor.byteCount)
    }
  }

  /// The pieces of `range` of the image, in its order.
  func pieces(_ range: Range<UInt64>) -> [Piece] {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      let entry = entries[middle]
      if entry.start + UInt64(entry.source.count) > range.lowerBound {
        high = middle
      } else {
        low = middle + 1
      }
    }
    return entries[low...].prefix { $0.start < range.upperBound }.map { entry in
      let first = max(entry.start, range.lowerBound)
      let end = min(entry.start + UInt64(entry.source.count), range.upperBound)
      let start = entry.source.lowerBound + (first - entry.start)
      return Piece(
        shard: entry.shard, source: start..<start + (end - first), tensor: entry.source,
        imageOffset: first)
    }
  }

  /// The pieces of `range` of the image, joined into reads.
  func runs(_ range: Range<UInt64>) -> [Run] {
    var runs: [Run] = []
    for piece in pieces(range) {
      if let last = runs.last, last.shard == piece.shard,
        piece.source.lowerBound >= last.source.upperBound,
        piece.source.lowerBound - last.source.upperBound <= Self.gapBytes,
        piece.source.upperBound - last.source.lowerBound <= UInt64(Self.runBytes)
      {
        runs[runs.count - 1].source = last.source.lowerBound..<piece.source.upperBound
        runs[runs.count - 1].pieces.append(piece)
      } else {
        runs.append(Run(shard: piece.shard, source: piece.source, pieces: [piece]))
      }
    }
    return runs
  }
}
