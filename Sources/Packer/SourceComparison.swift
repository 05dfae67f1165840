public import ExpertPack
internal import FileIO
public import GGUF

/// Compares what a pack holds with a GGUF, byte for byte.
public struct SourceComparison: Sendable {
  private let pack: PackDirectory
  private let other: GGUFFile
  private let threads: Int

  /// A comparison of `pack` with `other`, the GGUF that it is said to come from, by `threads`
  /// threads.
  public init(pack: PackDirectory, other: GGUFFile, threads: Int) {
    self.pack = pack
    self.other = other
    self.threads = threads
  }

  /// The places where the two differ; empty when the pack would export to `other` exactly.
  public func findings(progress: @escaping PackProgress) throws -> [PackFinding] {
    let log = FindingLog()
    guard pack.source.shards.count == other.shards.count else {
      log.add(
        PackFinding(
          .differs, file: other.shards.first?.path ?? "",
          detail: "has \(other.shards.count) shards, the pack was made from "
            + "\(pack.source.shards.count)"))
      return log.report.findings
    }
    for ((own, archive), shard) in zip(zip(pack.source.shards, pack.archives), other.shards) {
      guard own.fileSize == shard.fileSize else {
        log.add(
          PackFinding(
            .differs, file: shard.path,
            detail: "has \(shard.fileSize) bytes, the pack was made from \(own.fileSize)"))
        continue
      }
      try Self.compare(archive: archive, with: shard, log: log)
    }
    // With equal headers the tensors lie at the same offsets; without, their data means nothing.
    guard log.isEmpty else { return log.report.findings }
    let files = try other.shards.map { try File.reading($0.path) }
    let content = try PackContent(pack: pack)
    let tensors = pack.source.tensors
    for layer in pack.expertLayers {
      try ParallelWork.forEach(layer.expertCount, threads: threads) { expert in
        let matrices = try content.matrices(layer: layer, expert: expert, verify: false)
        var start = 0
        for source in layer.sources {
          let own = UnsafeRawBufferPointer(matrices.bytes.part(start..<start + source.byteCount))
          try Self.compare(
            own, with: files[source.shard], at: source.offset(ofExpert: expert),
            what: "\(tensors[source.tensor].name)", layer: layer.layer, expert: expert, log: log)
          start += source.byteCount
          progress(UInt64(source.byteCount))
        }
      }
    }
    try content.forEachResidentPiece { tensor, offset, bytes in
      try Self.compare(
        bytes, with: files[tensor.shard], at: offset, what: tensor.name, layer: nil, expert: nil,
        log: log)
      progress(UInt64(bytes.count))
    }
    return log.report.findings
  }

  /// Compares the bytes outside the tensors.
  static func compare(archive: HeaderArchive, with shard: GGUFShard, log: FindingLog) throws {
    let file = try File.reading(shard.path)
    var done = 0
    for region in archive.regions {
      let own = UnsafeRawBufferPointer(archive.bytes.bytes.part(done..<done + region.count))
      try compare(
        own, with: file, at: region.lowerBound, what: "header or padding", layer: nil, expert: nil,
        log: log)
      done += region.count
    }
  }

  private static func compare(
    _ own: UnsafeRawBufferPointer, with file: File, at offset: UInt64, what: String, layer: Int?,
    expert: Int?, log: FindingLog
  ) throws {
    let theirs = try AlignedBuffer(count: own.count)
    try file.readExactly(into: theirs.bytes, at: offset)
    // Equal bytes are the rule and hash fast; the place of a difference is searched only for one.
    let read = UnsafeRawBufferPointer(theirs.bytes)
    guard XXH3.hash128(own) != XXH3.hash128(read) else { return }
    let first = zip(own, read).enumerated().first { $0.element.0 != $0.element.1 }
    log.add(
      PackFinding(
        .differs, file: file.path, layer: layer, expert: expert, offset: offset,
        length: UInt64(own.count),
        detail:
          "\(what) differs from the pack, first at byte \(offset + UInt64(first?.offset ?? 0))"
      ))
  }
}
