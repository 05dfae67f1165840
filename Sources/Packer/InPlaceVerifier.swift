internal import GGUF
internal import ExpertPack
internal import FileIO

/// Checks an in-place pack against the source that it points into, place by place.
struct InPlaceVerifier {
  let pack: PackDirectory
  let threads: Int

  /// Names the experts, resident blocks and header bytes that are not those that were indexed.
  func verify(log: FindingLog) throws {
    let shards = try pack.source.shards.map { try File.reading($0.path) }
    for layer in pack.expertLayers {
      try ParallelWork.forEach(layer.expertCount, threads: threads) { expert in
        let placement = pack.placement(layer: layer.layer, expert: expert)
        for (slice, read) in placement.reads.enumerated() {
          let bytes = try AlignedBuffer(count: read.payload.count)
          try shards[read.file].readExactly(into: bytes.bytes, at: read.payloadOffset)
          let found = XXH3.hash64(UnsafeRawBufferPointer(bytes.bytes), seed: read.seed)
          log.didCheck()
          guard found != read.checksum else { continue }
          log.add(
            PackFinding(
              .damaged, file: shards[read.file].path, layer: layer.layer, expert: expert,
              slice: slice, offset: read.payloadOffset, length: UInt64(read.payload.count),
              detail: "checksum is \(Digest128.hexadecimal(found)), expected "
                + Digest128.hexadecimal(read.checksum)))
        }
      }
    }
    let image = try pack.loadResident(verify: false, threads: threads)
    for block in 0..<pack.checksums.residentBlockCount {
      log.didCheck()
      guard
        let damage = pack.residentDamage(image: UnsafeRawBufferPointer(image.bytes), block: block)
      else { continue }
      log.add(PackFinding(.damaged, file: damage.path, detail: damage.message))
    }
    for (shard, archive) in zip(pack.source.shards, pack.archives) {
      try SourceComparison.compare(archive: archive, with: shard, log: log)
    }
  }
}
