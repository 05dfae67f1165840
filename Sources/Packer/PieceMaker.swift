internal import ExpertPack
internal import FileIO
internal import GGUF

/// What a job leaves for those who put the pack together.
struct PackPiece: Sendable {
  /// Checksums of the items.
  var checksums: [UInt64] = []
  /// Sums of the file's blocks (``BlockDigest``), but of the last one.
  var blockSums: [UInt64] = []
  /// The last bytes of the file, where the piece ends it.
  var rest: [UInt8] = []
  /// Bytes of tensors that were read.
  var sourceBytes: UInt64 = 0
}

/// Makes pieces of a pack's files: reads the source, cuts and hashes. Any number of threads at once.
struct PieceMaker: Sendable {
  let units: [PackUnit]
  let kind: PackKind
  private let shards: [SourceShard]
  private let residents: ResidentPieces
  private let room: Room
  private let workspaces: BufferPool

  /// How a thread's memory is divided: pages as read, pieces as written, sums.
  private struct Room {
    var source = 0
    var target = 0
    var sums = 0
    var total: Int { source + target + sums }
  }

  /// Memory for all threads together.
  private static let memoryBytes = 352 << 20

  init(source: GGUFFile, layout: PackLayout, kind: PackKind, shards: [SourceShard]) {
    self.kind = kind
    self.shards = shards
    units = PackUnit.units(of: layout, kind: kind)
    residents = ResidentPieces(source: source, layout: layout)
    var room = Room()
    for unit in units {
      switch unit.content {
      case .resident:
        let image = unit.itemsPerJob * unit.itemBytes
        // One tensor may fill all of the part of the image.
        room.source = max(
          room.source, max(ResidentPieces.runBytes, image) + SourceShard.slack)
        room.target = max(room.target, image)
      case .layer(let layer) where Self.isWide(unit):
        room.source = max(room.source, Self.wideRoom(layer))
        room.target = max(room.target, PackLimits.splits * RecordStream.bufferBytes)
      case .layer(let layer):
        let matrices = layer.sources.reduce(0) {
          $0 + Self.room(for: $1.byteCount * unit.itemsPerJob)
        }
        room.source = max(room.source, matrices)
        if kind == .packed { room.target = max(room.target, unit.itemsPerJob * unit.itemBytes) }
      }
    }
    let page = Int(ShardDigest.pageBytes)
    room.source = (room.source + page - 1) / page * page
    room.target = (room.target + page - 1) / page * page
    room.sums = ShardDigest.scratchBytes(for: room.source)
    self.room = room
    workspaces = BufferPool(byteCount: room.total)
  }

  /// Room for a read of a wide expert: whole rows.
  private static func wideRoom(_ layer: ExpertLayer) -> Int {
    let row = layer.sources.map { $0.byteCount / max($0.rows, 1) }.max() ?? 0
    return room(for: max(wideReadBytes, row))
  }

  /// Pages that `count` bytes may touch.
  private static func room(for count: Int) -> Int {
    let page = Int(ShardDigest.pageBytes)
    return (count + page - 1) / page * page + SourceShard.slack
  }

  /// How many of `threads` threads have room in memory.
  func threads(atMost threads: Int) -> Int {
    max(1, min(threads, Self.memoryBytes / max(room.total, 1)))
  }

  /// Makes `items` of unit number `index` and writes them to `file`; nil only computes.
  func make(_ index: Int, items: Range<Int>, to file: RecordFile?) throws -> PackPiece {
    var piece = PackPiece()
    let unit = units[index]
    try withWorkspace { workspace in
      let (source, target, scratch) = (workspace.source, workspace.target, workspace.scratch)
      let range = unit.fileRange(items)
      switch unit.content {
      case .layer(let layer) where Self.isWide(unit):
        for item in items where kind == .packed {
          try makeWide(
            item, of: layer, unit: unit, to: file, workspace: workspace, into: &piece)
        }
        for item in items where kind == .inPlace {
          try hashWide(item, of: layer, unit: unit, workspace: workspace, into: &piece)
        }
        return
      case .resident:
        let image = target.part(0..<range.count)
        piece.sourceBytes = try assemble(range, into: image, source: source, scratch: scratch)
        hash(UnsafeRawBufferPointer(image), as: items, of: unit, into: &piece)
      case .layer(let layer):
        let matrices = try read(items, of: layer, into: source, scratch: scratch)
        piece.sourceBytes = matrices.reduce(0) { $0 + UInt64($1.count) }
        guard kind == .packed else {
          hash(matrices, as: items, of: unit, layer: layer, into: &piece)
          return
        }
        let records = target.part(0..<range.count)
        cut(matrices, count: items.count, of: layer, into: records)
        hash(UnsafeRawBufferPointer(records), as: items, of: unit, into: &piece)
      }
      guard kind == .packed else { return }
      let bytes = UnsafeRawBufferPointer(target.part(0..<range.count))
      digest(bytes, range: range, of: unit, into: &piece)
      try file?.write(bytes, at: range.lowerBound)
    }
    return piece
  }

  /// Reads the source's bytes of `range` of a shard for their digest alone.
  func digest(_ range: Range<UInt64>, ofShard shard: Int) throws {
    try withWorkspace { workspace in
      let step = UInt64(room.source - SourceShard.slack)
      for start in stride(from: range.lowerBound, to: range.upperBound, by: Int(step)) {
        _ = try read(start..<min(range.upperBound, start + step), ofShard: shard, workspace)
      }
    }
  }

  /// Memory of a thread for the time of a piece.
  struct Workspace {
    /// Pages of the source.
    let source: UnsafeMutableRawBufferPointer
    /// The piece.
    let target: UnsafeMutableRawBufferPointer
    /// Sums of what was read.
    let scratch: UnsafeMutableRawBufferPointer
  }

  private func withWorkspace(_ body: (Workspace) throws -> Void) throws {
    try workspaces.withBuffer { buffer in
      try body(
        Workspace(
          source: buffer.bytes.part(0..<room.source),
          target: buffer.bytes.part(room.source..<room.source + room.target),
          scratch: buffer.bytes.part(room.source + room.target..<room.total)))
    }
  }

  /// Reads `range` of a shard into the workspace, which it fits.
  func read(
    _ range: Range<UInt64>, ofShard shard: Int, _ workspace: Workspace
  ) throws -> UnsafeRawBufferPointer {
    try shards[shard].read(range, into: workspace.source, scratch: workspace.scratch)
  }

  /// The matrices of experts `items`, of each source tensor those of all of them.
  private func read(
    _ items: Range<Int>, of layer: ExpertLayer, into buffer: UnsafeMutableRawBufferPointer,
    scratch: UnsafeMutableRawBufferPointer
  ) throws -> [UnsafeRawBufferPointer] {
    var start = 0
    return try layer.sources.map { source in
      let count = source.byteCount * items.count
      let first = source.offset(ofExpert: items.lowerBound)
      let end = start + Self.room(for: count)
      defer { start = end }
      return try shards[source.shard].read(
        first..<first + UInt64(count), into: buffer.part(start..<end), scratch: scratch)
    }
  }

  private func cut(
    _ matrices: [UnsafeRawBufferPointer], count: Int, of layer: ExpertLayer,
    into records: UnsafeMutableRawBufferPointer
  ) {
    let record = ExpertRecord(layer: layer)
    let stride = layer.geometry.recordStride
    for item in 0..<count {
      record.slice(
        zip(layer.sources, matrices).map { source, bytes in
          bytes.part(item * source.byteCount..<(item + 1) * source.byteCount)
        }, into: records.part(item * stride..<(item + 1) * stride))
    }
  }

  /// Fills `image` with `range` of the resident image; returns the bytes of tensors in it.
  private func assemble(
    _ range: Range<UInt64>, into image: UnsafeMutableRawBufferPointer,
    source: UnsafeMutableRawBufferPointer, scratch: UnsafeMutableRawBufferPointer
  ) throws -> UInt64 {
    image.initializeMemory(as: UInt8.self, repeating: 0)
    var count: UInt64 = 0
    for run in residents.runs(range) {
      let bytes = try shards[run.shard].read(run.source, into: source, scratch: scratch)
      for piece in run.pieces {
        let from = Int(piece.source.lowerBound - run.source.lowerBound)
        let to = Int(piece.imageOffset - range.lowerBound)
        image.part(to..<to + piece.source.count).copyMemory(
          from: bytes.part(from..<from + piece.source.count))
        count += UInt64(piece.source.count)
      }
    }
    return count
  }

  /// Checksums of `items`, which `bytes` are: equal parts of an item each.
  private func hash(
    _ bytes: UnsafeRawBufferPointer, as items: Range<Int>, of unit: PackUnit,
    into piece: inout PackPiece
  ) {
    piece.checksums = Self.checksums(of: bytes, as: items, of: unit)
  }

  /// Checksums of `items` of a packed file, which `bytes` are.
  static func checksums(
    of bytes: UnsafeRawBufferPointer, as items: Range<Int>, of unit: PackUnit
  ) -> [UInt64] {
    let part = unit.itemBytes / unit.checksumsPerItem
    return items.flatMap { item in
      (0..<unit.checksumsPerItem).map { index in
        let start = (item - items.lowerBound) * unit.itemBytes + index * part
        return XXH3.hash64(
          bytes.part(start..<min(bytes.count, start + part)),
          seed: unit.seed(item: item, index: index))
      }
    }
  }

  /// Checksums of the matrices of `items` in the source.
  private func hash(
    _ matrices: [UnsafeRawBufferPointer], as items: Range<Int>, of unit: PackUnit,
    layer: ExpertLayer, into piece: inout PackPiece
  ) {
    for item in items {
      for (index, source) in layer.sources.enumerated() {
        let start = (item - items.lowerBound) * source.byteCount
        piece.checksums.append(
          XXH3.hash64(
            matrices[index].part(start..<start + source.byteCount),
            seed: unit.seed(item: item, index: index)))
      }
    }
  }

  private func digest(
    _ bytes: UnsafeRawBufferPointer, range: Range<UInt64>, of unit: PackUnit,
    into piece: inout PackPiece
  ) {
    let isLast = range.upperBound == unit.fileBytes
    let blocks = bytes.count / BlockDigest.blockBytes - (isLast ? 1 : 0)
    piece.blockSums = BlockDigest.sums(of: bytes, count: blocks)
    if isLast {
      piece.rest = Array(bytes.suffix(BlockDigest.restBytes(byteCount: unit.fileBytes)))
    }
  }
}

extension PieceMaker {
  /// Bytes of tensors in `items` of unit `index`.
  func sourceBytes(_ index: Int, items: Range<Int>) -> UInt64 {
    switch units[index].content {
    case .resident:
      residents.pieces(units[index].fileRange(items)).reduce(0) { $0 + UInt64($1.source.count) }
    case .layer(let layer):
      layer.sources.reduce(0) { $0 + UInt64($1.byteCount) * UInt64(items.count) }
    }
  }

  /// The bytes of the source that `items` of unit `index` are made of and nothing else is: whole pages,
  /// by shard.
  func sourcePages(_ index: Int, items: Range<Int>) -> [(shard: Int, range: Range<UInt64>)] {
    func pages(_ part: Range<UInt64>, of tensor: Range<UInt64>) -> Range<UInt64> {
      let page = ShardDigest.pageBytes
      // A page that the part begins in belongs to it, unless another tensor begins in it, too.
      let start = max(
        part.lowerBound / page * page, (tensor.lowerBound + page - 1) / page * page)
      return start..<max(start, part.upperBound / page * page)
    }
    switch units[index].content {
    case .resident:
      return residents.pieces(units[index].fileRange(items)).map {
        ($0.shard, pages($0.source, of: $0.tensor))
      }
    case .layer(let layer):
      return layer.sources.map { source in
        let first = source.offset(ofExpert: items.lowerBound)
        return (
          source.shard,
          pages(
            first..<source.offset(ofExpert: items.upperBound),
            of: source.offset..<source.offset(ofExpert: layer.expertCount))
        )
      }
    }
  }
}
