internal import ExpertPack
internal import FileIO
internal import GGUF

/// Where the bytes of a repair come from: a GGUF, or another pack of the same source.
///
/// What it gives is a claim: those who take it hold it against a checksum of the pack. Any thread may
/// read.
struct RepairSource: Sendable {
  /// The path that was given.
  let path: String
  /// The headers, and where the tensors' bytes are in the shards.
  let gguf: GGUFFile
  let layout: PackLayout
  /// The other pack; nil for a GGUF.
  let pack: PackDirectory?
  private let residents: ResidentPieces

  /// Memory for what threads bring at once, but for experts that are larger.
  static let memoryBytes = 256 << 20

  /// Opens the GGUF or pack at `path`.
  init(_ path: String) throws {
    self.path = path
    if Directory.exists(path) {
      let other = try PackDirectory(contentsOf: path)
      pack = other
      gguf = other.source
    } else {
      pack = nil
      gguf = try GGUFFile.open(path)
    }
    layout = try PackLayout(source: gguf)
    residents = ResidentPieces(source: gguf, layout: layout)
  }

  /// The pack that holds the bytes in its own files; nil where they are in a GGUF.
  private var packed: PackDirectory? { pack?.manifest.kind == .packed ? pack : nil }

  /// The header archives of the shards.
  func archives() throws -> [HeaderArchive] {
    if let pack { return pack.archives }
    return try gguf.shards.map { shard in
      let file = try File.reading(shard.path)
      return try HeaderArchive(shard: shard) { try file.readExactly(into: $0, at: $1) }
    }
  }

  /// XXH3-128 of the shards, hexadecimal: read, or, for a pack, as its manifest has them.
  func shardDigests(progress: PackProgress) throws -> [String] {
    if let pack { return pack.manifest.sources.map(\.xxh3_128) }
    let buffer = try AlignedBuffer(count: 4 << 20)
    return try gguf.shards.map { shard in
      try SourceDigests.digest(
        of: try File.reading(shard.path), byteCount: shard.fileSize, buffer: buffer,
        progress: progress
      ).description
    }
  }

  /// Why the bytes for a pack with these headers cannot be here; nil when they may be.
  func mismatch(with source: GGUFFile, _ other: PackLayout) -> String? {
    guard source.shards.map(\.fileSize) == gguf.shards.map(\.fileSize) else {
      return "\(path) is not the source of this pack: it has "
        + "\(Self.sizes(gguf)), the pack was made from \(Self.sizes(source))"
    }
    guard layout == other, source.tensors == gguf.tensors else {
      return "\(path) is not the source of this pack: its tensors are others"
    }
    return nil
  }

  private static func sizes(_ source: GGUFFile) -> String {
    let bytes = source.shards.reduce(0) { $0 + $1.fileSize }
    return source.shards.count == 1
      ? "\(bytes) bytes" : "\(source.shards.count) shards, \(bytes) bytes"
  }

  /// Bytes of memory that ``record(_:position:slices:into:)`` may need for an expert of `layer`.
  static func recordRoom(_ layer: ExpertLayer) -> Int {
    layer.geometry.recordStride + ExpertRecord(layer: layer).sourceBytes
  }

  /// Fills `record` with the record of an expert, at least with its quarters `slices`.
  func record(
    _ expert: Int, position: Int, slices: some Sequence<Int>,
    into record: UnsafeMutableRawBufferPointer
  ) throws {
    let layer = layout.layers[position]
    guard let packed else {
      let matrices = try self.matrices(expert, position: position)
      return ExpertRecord(layer: layer).slice(Self.parts(of: matrices, layer), into: record)
    }
    let reads = packed.placement(layer: layer.layer, expert: expert).reads
    for slice in slices {
      let read = reads[slice]
      try File.reading(packed.files[read.file].path).readExactly(
        into: record.part(read.slotOffset..<read.slotOffset + read.length), at: read.offset)
    }
  }

  /// The matrices of an expert as the source stores them, one after the other.
  func matrices(_ expert: Int, position: Int) throws -> AlignedBuffer {
    let layer = layout.layers[position]
    let converter = ExpertRecord(layer: layer)
    let matrices = try AlignedBuffer(count: converter.sourceBytes)
    if packed != nil {
      let record = try AlignedBuffer(count: layer.geometry.recordStride)
      try self.record(
        expert, position: position, slices: 0..<PackLimits.splits, into: record.bytes)
      converter.join(UnsafeRawBufferPointer(record.bytes), into: matrices.bytes)
    } else {
      var start = 0
      for source in layer.sources {
        try File.reading(gguf.shards[source.shard].path).readExactly(
          into: matrices.bytes.part(start..<start + source.byteCount),
          at: source.offset(ofExpert: expert))
        start += source.byteCount
      }
    }
    return matrices
  }

  /// `matrices` cut into the matrix of each of the layer's sources.
  static func parts(of matrices: AlignedBuffer, _ layer: ExpertLayer) -> [UnsafeRawBufferPointer] {
    var start = 0
    return layer.sources.map { source in
      defer { start += source.byteCount }
      return UnsafeRawBufferPointer(matrices.bytes.part(start..<start + source.byteCount))
    }
  }

  /// Fills `image` with `range` of the resident image.
  func resident(_ range: Range<UInt64>, into image: UnsafeMutableRawBufferPointer) throws {
    if let packed {
      let file = try File.reading(packed.path + "/" + PackDirectory.residentFileName)
      return try file.readExactly(into: image, at: range.lowerBound)
    }
    image.initializeMemory(as: UInt8.self, repeating: 0)
    for piece in residents.pieces(range) {
      let start = Int(piece.imageOffset - range.lowerBound)
      try File.reading(gguf.shards[piece.shard].path).readExactly(
        into: image.part(start..<start + piece.source.count), at: piece.source.lowerBound)
    }
  }

  /// Checksums and digest of a file of weights as the bytes of this source give it; of an in-place pack
  /// the checksums alone.
  func unit(
    _ unit: PackUnit, kind: PackKind, threads: Int, progress: @escaping PackProgress
  ) throws -> UnitProgress {
    let jobs = PackJob.jobs([unit], done: [0])
    let state = UnitState(UnitProgress(unit))
    if unit.itemCount == 0 {
      state.value.value = [UInt8]().withUnsafeBytes { state.value.digest.value(rest: $0) }
    }
    let room = unit.itemsPerJob * unit.itemBytes * 2
    let count = max(1, min(threads, Self.memoryBytes / max(room, 1)))
    try OrderedWork.forEach(jobs.count, threads: count, window: 2 * count) { index in
      let items = jobs[index].items
      let piece = try piece(unit, items: items, kind: kind)
      progress(UInt64(unit.fileRange(items).count))
      return piece
    } commit: { index, piece in
      state.value.add(piece, items: jobs[index].items.count, of: unit)
    }
    return state.value
  }

  /// Touched by one thread at a time: that which takes over a piece, and the caller before and after.
  private final class UnitState: @unchecked Sendable {
    var value: UnitProgress
    init(_ value: UnitProgress) { self.value = value }
  }

  private func piece(_ unit: PackUnit, items: Range<Int>, kind: PackKind) throws -> PackPiece {
    let range = unit.fileRange(items)
    let buffer = try AlignedBuffer(count: range.count)
    var piece = PackPiece()
    switch unit.content {
    case .resident: try resident(range, into: buffer.bytes)
    case .layer(let layer):
      guard let position = layout.layers.firstIndex(of: layer) else {
        preconditionFailure("units are those of the layout")
      }
      for item in items {
        let matrices = try matrices(item, position: position)
        let parts = Self.parts(of: matrices, layer)
        if kind == .inPlace {
          piece.checksums += parts.enumerated().map {
            XXH3.hash64($1, seed: unit.seed(item: item, index: $0))
          }
        } else {
          let start = (item - items.lowerBound) * unit.itemBytes
          ExpertRecord(layer: layer).slice(
            parts, into: buffer.bytes.part(start..<start + unit.itemBytes))
        }
      }
      if kind == .inPlace { return piece }
    }
    let bytes = UnsafeRawBufferPointer(buffer.bytes)
    piece.checksums = PieceMaker.checksums(of: bytes, as: items, of: unit)
    let isLast = range.upperBound == unit.fileBytes
    piece.blockSums = BlockDigest.sums(
      of: bytes, count: bytes.count / BlockDigest.blockBytes - (isLast ? 1 : 0))
    if isLast {
      piece.rest = Array(bytes.suffix(BlockDigest.restBytes(byteCount: unit.fileBytes)))
    }
    return piece
  }
}
