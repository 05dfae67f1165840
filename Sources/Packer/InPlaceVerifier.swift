internal import ExpertPack
internal import FileIO
internal import GGUF

/// Checks an in-place pack against the source that it points into, place by place.
///
/// Shards that are missing, and what lies past the end of a shard that was cut, are left out: their
/// lengths have been judged by then.
struct InPlaceVerifier {
  let pack: PackDirectory
  let threads: Int

  /// A shard that is there.
  private struct Shard {
    let file: File
    let byteCount: UInt64

    func holds(_ offset: UInt64, _ count: UInt64) -> Bool {
      offset <= byteCount && count <= byteCount - offset
    }
  }

  /// Names the experts, resident blocks and header bytes that are not those that were indexed.
  func verify(log: FindingLog, progress: @escaping PackProgress) throws {
    let shards = pack.source.shards.map { shard -> Shard? in
      guard let file = try? File.reading(shard.path), let size = try? file.size() else {
        return nil
      }
      return Shard(file: file, byteCount: size)
    }
    for layer in pack.expertLayers {
      try ParallelWork.forEach(layer.expertCount, threads: threads) { expert in
        for (slice, read) in pack.placement(layer: layer.layer, expert: expert).reads.enumerated() {
          verify(
            read, of: shards[read.file], layer: layer.layer, expert: expert, slice: slice, log: log)
          progress(UInt64(read.payload.count))
        }
      }
    }
    let blocks = residentBlocks
    try ParallelWork.forEach(blocks.count, threads: threads) { block in
      try verify(block: block, pieces: blocks[block], shards: shards, log: log)
      progress(UInt64(pack.residentBlockRange(block).count))
    }
    for ((shard, opened), archive) in zip(zip(pack.source.shards, shards), pack.archives)
    where opened?.byteCount == shard.fileSize {
      try SourceComparison.compare(
        archive: archive, with: try File.reading(shard.path), path: shard.path, log: log)
    }
    for shard in pack.source.shards { log.removeWholeFile(shard.path) }
  }

  private func verify(
    _ read: ExpertPlacement.Read, of shard: Shard?, layer: Int, expert: Int, slice: Int,
    log: FindingLog
  ) {
    let count = UInt64(read.payload.count)
    guard let shard, shard.holds(read.payloadOffset, count) else { return }
    func finding(_ kind: PackFinding.Kind, _ detail: String) -> PackFinding {
      PackFinding(
        kind, file: shard.file.path, layer: layer, expert: expert, slice: slice,
        offset: read.payloadOffset, length: count, detail: detail)
    }
    do {
      let bytes = try AlignedBuffer(count: read.payload.count)
      try shard.file.readExactly(into: bytes.bytes, at: read.payloadOffset)
      let found = XXH3.hash64(UnsafeRawBufferPointer(bytes.bytes), seed: read.seed)
      log.didCheck()
      guard found != read.checksum else { return }
      log.add(
        finding(
          .damaged,
          "checksum is \(Digest128.hexadecimal(found)), expected "
            + Digest128.hexadecimal(read.checksum)))
    } catch {
      log.add(finding(.unreadable, error.message))
    }
  }

  /// A part of a resident tensor that lies in one block of the image.
  private struct Piece {
    /// Bytes of the image.
    let range: Range<UInt64>
    let shard: Int
    /// Where the bytes lie in the shard.
    let offset: UInt64
    let tensor: String

    var count: UInt64 { range.upperBound - range.lowerBound }
    /// Where they end in the shard.
    var end: UInt64 { offset + count }
  }

  /// The pieces that each block of the resident image is made of.
  private var residentBlocks: [[Piece]] {
    let unit = UInt64(PackLimits.residentBlockBytes)
    var blocks = [[Piece]](repeating: [], count: pack.checksums.residentBlockCount)
    for index in pack.layout.residentOrder {
      guard case .resident(let start) = pack.layout.places[index] else { continue }
      let tensor = pack.source.tensors[index]
      var position = start
      while position < start + tensor.byteCount {
        let end = min(start + tensor.byteCount, (position / unit + 1) * unit)
        blocks[Int(position / unit)].append(
          Piece(
            range: position..<end, shard: tensor.shard, offset: tensor.offset + (position - start),
            tensor: tensor.name))
        position = end
      }
    }
    return blocks
  }

  private func verify(block: Int, pieces: [Piece], shards: [Shard?], log: FindingLog) throws {
    let range = pack.residentBlockRange(block)
    let buffer = try AlignedBuffer(count: range.count)
    for piece in pieces {
      guard let shard = shards[piece.shard], shard.holds(piece.offset, piece.count) else { return }
      let start = Int(piece.range.lowerBound) - range.lowerBound
      do {
        try shard.file.readExactly(
          into: buffer.bytes.part(start..<start + Int(piece.count)), at: piece.offset)
      } catch {
        return log.add(
          PackFinding(
            .unreadable, file: shard.file.path, offset: piece.offset, length: piece.count,
            detail: "\(piece.tensor): \(error.message)"))
      }
    }
    log.didCheck()
    let found = XXH3.hash64(
      UnsafeRawBufferPointer(buffer.bytes), seed: ChecksumTable.seed(residentBlock: block))
    let expected = pack.checksums.values[pack.checksums.index(residentBlock: block)]
    guard found != expected else { return }
    // One checksum covers the block: any of its pieces may be the damaged one.
    for (shard, parts) in Dictionary(grouping: pieces, by: \.shard) {
      guard let first = parts.first, let last = parts.last else { continue }
      let start = parts.reduce(first.offset) { min($0, $1.offset) }
      let end = parts.reduce(0) { max($0, $1.end) }
      let names = first.tensor == last.tensor ? first.tensor : "\(first.tensor) to \(last.tensor)"
      log.add(
        PackFinding(
          .damaged, file: pack.source.shards[shard].path, offset: start, length: end - start,
          detail:
            "resident block \(block), \(names): checksum is \(Digest128.hexadecimal(found)), "
            + "expected \(Digest128.hexadecimal(expected))"))
    }
  }
}
