internal import ExpertPack
internal import GGUF

/// A file of weights as the writer makes it: items of equal size, a few at a time, front to back.
struct PackUnit: Sendable {
  enum Content: Sendable {
    /// The resident image; an item is a block.
    case resident
    /// The experts of a layer; an item is an expert's record.
    case layer(ExpertLayer)
  }

  let content: Content
  /// Name of the file, in messages and in the journal also where an in-place pack has none.
  let name: String
  /// Bytes of the file.
  let fileBytes: UInt64
  let itemCount: Int
  /// Bytes of an item in the file; the last block of a resident image may be shorter.
  let itemBytes: Int
  /// Items that are read, cut, hashed and written at once.
  let itemsPerJob: Int
  /// Where the checksums of the first item stand in the table.
  let firstChecksum: Int
  let checksumsPerItem: Int

  /// Bytes of a job, where items are smaller: a disk's full rate asks for megabytes at a time. Small
  /// layers are cut finer, for a kill is to cost no more than a layer.
  private static func jobBytes(of layout: PackLayout) -> Int {
    min(16 << 20, Int(largestLayer(of: layout) / 16))
  }

  /// Bytes of the largest file of experts.
  static func largestLayer(of layout: PackLayout) -> UInt64 {
    layout.layers.map(\.fileBytes).max() ?? 0
  }

  /// The units of a pack in the order in which they are made: the resident image, then the layers as
  /// the source has them, so that its digest finds most of its bytes in file order.
  static func units(of layout: PackLayout, kind: PackKind) -> [PackUnit] {
    let table = ChecksumIndex(layout: layout, kind: kind)
    let block = PackLimits.residentBlockBytes
    let jobBytes = jobBytes(of: layout)
    let resident = PackUnit(
      content: .resident, name: PackDirectory.residentFileName, fileBytes: layout.residentBytes,
      itemCount: table.residentBlockCount, itemBytes: block, itemsPerJob: max(1, jobBytes / block),
      firstChecksum: table.index(residentBlock: 0), checksumsPerItem: 1)
    let layers = layout.layers.enumerated().map { position, layer in
      let itemBytes = layer.geometry.recordStride
      let extents = kind == .packed ? PackLimits.splits : layer.sources.count
      return PackUnit(
        content: .layer(layer), name: layer.fileName, fileBytes: layer.fileBytes,
        itemCount: layer.expertCount, itemBytes: itemBytes,
        itemsPerJob: max(1, min(layer.expertCount, jobBytes / itemBytes)),
        firstChecksum: table.index(layerPosition: position, expert: 0, extent: 0),
        checksumsPerItem: extents)
    }
    return [resident] + layers.sorted { $0.sourceStart < $1.sourceStart }
  }

  /// Where the unit's bytes begin in the source.
  private var sourceStart: (Int, UInt64) {
    guard case .layer(let layer) = content else { return (0, 0) }
    return layer.sources.map { ($0.shard, $0.offset) }.min { $0 < $1 } ?? (0, 0)
  }

  /// Bytes of the file that `items` take.
  func fileRange(_ items: Range<Int>) -> Range<UInt64> {
    let start = min(fileBytes, UInt64(items.lowerBound) * UInt64(itemBytes))
    return start..<max(start, min(fileBytes, UInt64(items.upperBound) * UInt64(itemBytes)))
  }

  /// Seed of checksum number `index` of `item`.
  func seed(item: Int, index: Int) -> UInt64 {
    switch content {
    case .resident: ChecksumTable.seed(residentBlock: item)
    case .layer(let layer): ChecksumTable.seed(layer: layer.layer, expert: item, extent: index)
    }
  }
}

/// A run of items of a unit that one thread makes in one go.
struct PackJob: Sendable {
  /// Index of the unit.
  let unit: Int
  let items: Range<Int>

  /// The jobs that make what `units` lack, of which the first `done[u]` items are there.
  static func jobs(_ units: [PackUnit], done: [Int]) -> [PackJob] {
    units.indices.flatMap { index in
      let unit = units[index]
      return stride(from: done[index], to: unit.itemCount, by: unit.itemsPerJob).map { first in
        PackJob(unit: index, items: first..<min(unit.itemCount, first + unit.itemsPerJob))
      }
    }
  }
}
