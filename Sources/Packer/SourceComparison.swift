public import ExpertPack
internal import FileIO
public import GGUF
public import Quantizers
internal import Recipes

/// Compares what a pack holds with a GGUF, byte for byte.
public struct SourceComparison: Sendable {
  private let pack: PackDirectory
  private let other: GGUFFile
  private let threads: Int
  /// The bytes of the other's shards when they are no files.
  private let generated: [any ByteSource]?
  /// Tensors that are not compared.
  private let skipped: Set<String>
  /// What is different before anything is compared.
  private let differences: [PackFinding]

  /// A comparison of `pack` with `other`, the GGUF that it is said to come from, by `threads`
  /// threads.
  public init(pack: PackDirectory, other: GGUFFile, threads: Int) {
    self.pack = pack
    self.other = other
    self.threads = threads
    generated = nil
    skipped = []
    differences = []
  }

  /// A comparison of `pack`, whose types were changed, with the `original` that it comes from: the change is made
  /// again by the rules of the manifest.
  ///
  /// Where an importance matrix took part and is not given, the tensors that changed are left out: they cannot be
  /// made again without it.
  /// - Throws: ``RequantizationError`` when the rules do not fit the original, or the matrix is another one.
  public init(
    pack: PackDirectory, change: TypeChange, original: GGUFFile, importance: ImportanceMatrix?,
    threads: Int
  ) throws {
    let rules = try change.rules.map { text in
      guard let rule = TypeRule(text) else {
        throw RequantizationError(
          "\(pack.path): rule \(text.quotedForMessage) of the manifest is none that this program knows; "
            + "use a newer moepack")
      }
      return rule
    }
    if let importance {
      let found = try Requantization.digest(importance.path, byteCount: nil) { _ in }
      guard let expected = change.importance_matrix, expected.xxh3_128 == found.xxh3_128 else {
        let used = change.importance_matrix.map { "\($0.name), checksum \($0.xxh3_128)" } ?? "none"
        throw RequantizationError(
          "\(importance.path): checksum is \(found.xxh3_128); the pack was made with another importance "
            + "matrix: \(used)")
      }
    }
    self.pack = pack
    self.threads = threads
    differences = zip(original.shards, change.sources).compactMap { shard, source in
      shard.fileSize == source.bytes
        ? nil
        : PackFinding(
          .differs, file: shard.path,
          detail: "has \(shard.fileSize) bytes, the pack was made from \(source.name) of "
            + "\(source.bytes)")
    }
    guard differences.isEmpty else {
      other = original
      generated = nil
      skipped = []
      return
    }
    let plan = try RequantizationPlan(source: original, rules: rules, importance: importance)
    let requantization = try Requantization(plan, threads: threads, origin: change)
    other = requantization.result
    generated = requantization.shards
    skipped =
      change.importance_matrix != nil && importance == nil
      ? Set(plan.changes.map(\.tensor)) : []
  }

  /// Tensors that are left out of the comparison.
  public var skippedTensors: Int { skipped.count }

  /// The places where the two differ; empty when the pack would export to `other` exactly.
  public func findings(progress: @escaping PackProgress) throws -> [PackFinding] {
    guard differences.isEmpty else { return differences }
    let log = FindingLog()
    guard pack.source.shards.count == other.shards.count else {
      log.add(
        PackFinding(
          .differs, file: other.shards.first?.path ?? "",
          detail: "has \(other.shards.count) shards, the pack was made from "
            + "\(pack.source.shards.count)"))
      return log.report.findings
    }
    let contents: [any ByteSource] =
      try generated ?? other.shards.map { try File.reading($0.path) }
    for (index, shard) in other.shards.enumerated() {
      let own = pack.source.shards[index]
      guard own.fileSize == shard.fileSize else {
        log.add(
          PackFinding(
            .differs, file: shard.path,
            detail: "has \(shard.fileSize) bytes, the pack was made from \(own.fileSize)"))
        continue
      }
      try Self.compare(
        archive: pack.archives[index], with: contents[index], path: shard.path, log: log)
    }
    // With equal headers the tensors lie at the same offsets; without, their data means nothing.
    guard log.isEmpty else { return log.report.findings }
    let paths = other.shards.map(\.path)
    let content = try PackContent(pack: pack)
    let tensors = pack.source.tensors
    for layer in pack.expertLayers {
      try ParallelWork.forEach(layer.expertCount, threads: threads) { expert in
        let matrices = try content.matrices(layer: layer, expert: expert, verify: false)
        var start = 0
        for source in layer.sources {
          defer {
            start += source.byteCount
            progress(UInt64(source.byteCount))
          }
          guard !skipped.contains(tensors[source.tensor].name) else { continue }
          let own = UnsafeRawBufferPointer(matrices.bytes.part(start..<start + source.byteCount))
          try Self.compare(
            own, with: contents[source.shard], path: paths[source.shard],
            at: source.offset(ofExpert: expert), what: "\(tensors[source.tensor].name)",
            layer: layer.layer, expert: expert, log: log)
        }
      }
    }
    try content.forEachResidentPiece { tensor, offset, bytes in
      if !skipped.contains(tensor.name) {
        try Self.compare(
          bytes, with: contents[tensor.shard], path: paths[tensor.shard], at: offset,
          what: tensor.name, layer: nil, expert: nil, log: log)
      }
      progress(UInt64(bytes.count))
    }
    return log.report.findings
  }

  /// Compares the bytes outside the tensors.
  static func compare(
    archive: HeaderArchive, with content: any ByteSource, path: String, log: FindingLog
  ) throws {
    var done = 0
    for region in archive.regions {
      let own = UnsafeRawBufferPointer(archive.bytes.bytes.part(done..<done + region.count))
      try compare(
        own, with: content, path: path, at: region.lowerBound, what: "header or padding",
        layer: nil, expert: nil, log: log)
      done += region.count
    }
  }

  private static func compare(
    _ own: UnsafeRawBufferPointer, with content: any ByteSource, path: String, at offset: UInt64,
    what: String, layer: Int?, expert: Int?, log: FindingLog
  ) throws {
    let theirs = try AlignedBuffer(count: own.count)
    try content.readExactly(into: theirs.bytes, at: offset)
    // Equal bytes are the rule and hash fast; the place of a difference is searched only for one.
    let read = UnsafeRawBufferPointer(theirs.bytes)
    guard XXH3.hash128(own) != XXH3.hash128(read) else { return }
    let first = zip(own, read).enumerated().first { $0.element.0 != $0.element.1 }
    log.add(
      PackFinding(
        .differs, file: path, layer: layer, expert: expert, offset: offset,
        length: UInt64(own.count),
        detail:
          "\(what) differs from the pack, first at byte \(offset + UInt64(first?.offset ?? 0))"
      ))
  }
}
