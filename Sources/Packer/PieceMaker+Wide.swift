internal import ExpertPack
internal import FileIO

/// Experts whose matrices and record do not fit in memory several times, as Mixtral's of 352 MB in half
/// precision: read in pieces, each cut at once into the slices that it has parts of.
extension PieceMaker {
  /// Records from which on an expert is made in this way.
  static let wideBytes = 32 << 20
  /// Bytes that are read at once.
  static let wideReadBytes = 8 << 20

  static func isWide(_ unit: PackUnit) -> Bool {
    if case .layer = unit.content { return unit.itemBytes > wideBytes }
    return false
  }

  /// Makes expert `item` of `layer`: its record goes to `file` slice by slice.
  func makeWide(
    _ item: Int, of layer: ExpertLayer, unit: PackUnit, to file: RecordFile?, workspace: Workspace,
    into piece: inout PackPiece
  ) throws {
    let geometry = layer.geometry
    let range = unit.fileRange(item..<item + 1)
    let isLast = range.upperBound == unit.fileBytes
    let blocks = range.count / BlockDigest.blockBytes - (isLast ? 1 : 0)
    let sums = try AlignedBuffer(count: range.count / BlockDigest.blockBytes * BlockDigest.sumBytes)
    var rest: [UInt8] = []
    let perSlice = PackLimits.splits / geometry.computeSlices
    let streams = (0..<geometry.computeSlices).map { slice in
      let start = slice * geometry.sliceStride
      return RecordStream(
        start..<start + geometry.sliceStride, quarterBytes: geometry.readBytes,
        seeds: (slice * perSlice..<(slice + 1) * perSlice).map { unit.seed(item: item, index: $0) },
        buffer: workspace.target.part(
          slice * RecordStream.bufferBytes..<(slice + 1) * RecordStream.bufferBytes)
      ) { bytes, offset in
        let first = offset / BlockDigest.blockBytes * BlockDigest.sumBytes
        let count = bytes.count / BlockDigest.blockBytes * BlockDigest.sumBytes
        BlockDigest.sums(of: bytes, into: sums.bytes.part(first..<first + count))
        if isLast, offset + bytes.count == range.count {
          rest = Array(bytes.suffix(BlockDigest.restBytes(byteCount: unit.fileBytes)))
        }
        try file?.write(bytes, at: range.lowerBound + UInt64(offset))
      }
    }
    for component in geometry.components {
      try append(component, ofExpert: item, of: layer, to: streams, workspace: workspace)
    }
    for stream in streams { try stream.finish() }
    piece.checksums = streams.flatMap(\.checksums)
    piece.sourceBytes = layer.sources.reduce(0) { $0 + UInt64($1.byteCount) }
    piece.blockSums = Array(
      sums.bytes.bindMemory(to: UInt64.self)[..<(blocks * BlockDigest.sumBytes / 8)])
    piece.rest = rest
  }

  /// Reads a component of an expert front to back and gives each slice its part.
  private func append(
    _ component: SliceGeometry.Component, ofExpert item: Int, of layer: ExpertLayer,
    to streams: [RecordStream], workspace: Workspace
  ) throws {
    guard let (source, skipped) = ExpertRecord.place(of: component.role, in: layer) else { return }
    let first = layer.sources[source].offset(ofExpert: item) + UInt64(skipped)
    let shard = layer.sources[source].shard
    guard component.role == .down else {
      for (slice, stream) in streams.enumerated() {
        let start = first + UInt64(slice * component.byteCount)
        try forEachRead(start..<start + UInt64(component.byteCount), step: Self.wideReadBytes) {
          try stream.append(try read($0, ofShard: shard, workspace))
        }
      }
      return
    }
    let part = component.rowBytes
    let row = part * streams.count
    let all = first..<first + UInt64(component.rows * row)
    try forEachRead(all, step: max(1, Self.wideReadBytes / row) * row) { range in
      let bytes = try read(range, ofShard: shard, workspace)
      for start in stride(from: 0, to: bytes.count, by: part) {
        try streams[start / part % streams.count].append(bytes.part(start..<start + part))
      }
    }
  }

  /// Checksums of the matrices of expert `item` in the source.
  func hashWide(
    _ item: Int, of layer: ExpertLayer, unit: PackUnit, workspace: Workspace,
    into piece: inout PackPiece
  ) throws {
    for (index, source) in layer.sources.enumerated() {
      let hash = XXH3Stream64(seed: unit.seed(item: item, index: index))
      let first = source.offset(ofExpert: item)
      try forEachRead(first..<first + UInt64(source.byteCount), step: Self.wideReadBytes) {
        hash.update(try read($0, ofShard: source.shard, workspace))
      }
      piece.checksums.append(hash.value)
      piece.sourceBytes += UInt64(source.byteCount)
    }
  }

  private func forEachRead(
    _ range: Range<UInt64>, step: Int, _ body: (Range<UInt64>) throws -> Void
  ) throws {
    for start in stride(from: range.lowerBound, to: range.upperBound, by: step) {
      try body(start..<min(range.upperBound, start + UInt64(step)))
    }
  }
}
