internal import ExpertPack
internal import FileIO
internal import GGUF

/// Holds what a journal claims against the source, the program and the files that are there.
struct ResumptionCheck {
  let source: GGUFFile
  let kind: PackKind
  let directory: String

  /// Bytes read at a time when a file is read back.
  private static let readBytes = 8 << 20

  func wrongSource(_ reason: String) -> PackError {
    PackError(
      .wrongSource, path: directory,
      "cannot go on from \(source.shards[0].path): \(reason); give the source that the pack was begun "
        + "from, or start again with --overwrite")
  }

  private var damagedJournal: PackError {
    PackError(
      .damaged, path: ConversionJournal.path(directory),
      "does not fit the source; nothing can go on from it, start again with --overwrite")
  }

  /// The state of each shard's digest, when the journal is about this source and kind of pack.
  func snapshots(
    _ journal: ConversionJournal, contents: [any ByteSource]
  ) throws -> [ShardDigest.Snapshot] {
    guard journal.kind == kind.rawValue else {
      throw wrongSource("the pack was begun as \(journal.kind), not as \(kind.rawValue)")
    }
    guard journal.shards.count == source.shards.count else {
      throw wrongSource(
        "expected \(journal.shards.count) shards as before, found \(source.shards.count)")
    }
    return try source.shards.enumerated().map { index, shard in
      let known = journal.shards[index]
      guard known.bytes == shard.fileSize else {
        throw wrongSource(
          "expected \(known.bytes) bytes in shard \(index + 1) as before, found \(shard.fileSize)")
      }
      // A source whose header has been given back has been opened from its archive.
      if !journal.consumes {
        let archive = try HeaderArchive(shard: shard) {
          try PackWriter.read(contents[index], into: $0, at: $1)
        }
        let digest = XXH3.hash128(UnsafeRawBufferPointer(archive.bytes.bytes))
        guard known.headerDigest == digest.description else {
          throw wrongSource("the header of shard \(index + 1) is another")
        }
      }
      guard var snapshot = known.snapshot else { throw damagedJournal }
      if let last = snapshot.pages.ranges.last, last.upperBound > snapshot.pages.prefix {
        let path = directory + "/" + ConversionJournal.sumsName(shard: index)
        let found = try File.readingIfPresent(path)?.size() ?? 0
        if found < ShardDigest.sumsBytes(of: last.upperBound, snapshot.digest) {
          guard !journal.consumes else { throw damagedJournal }
          // Read again at the end.
          snapshot.pages = PageRanges(upTo: snapshot.pages.prefix)
        }
      }
      return snapshot
    }
  }

  /// The state of each unit.
  func progress(
    _ journal: ConversionJournal, units: [PackUnit]
  ) throws -> [UnitProgress] {
    var entries: [String: ConversionJournal.Unit] = [:]
    for entry in journal.units {
      guard entries.updateValue(entry, forKey: entry.name) == nil else { throw damagedJournal }
    }
    let states = try units.map { unit in
      guard let entry = entries.removeValue(forKey: unit.name) else { return UnitProgress(unit) }
      guard let state = UnitProgress(unit, entry: entry, kind: kind) else { throw damagedJournal }
      return state
    }
    guard entries.isEmpty else { throw damagedJournal }
    return states
  }

  /// Whether the source's files may have been written to since the journal was begun.
  func isTouched(_ journal: ConversionJournal, contents: [any ByteSource]) -> Bool {
    zip(journal.shards, contents).contains { $0.modified != ($1 as? File)?.modified ?? 0 }
  }

  /// Whether the file of `unit` holds the items of `state`: all of them, or for a quick look the first
  /// and the last.
  func isIntact(_ unit: PackUnit, _ state: UnitProgress, whole: Bool) throws -> Bool {
    guard let file = try? File.readingDirect(directory + "/" + unit.name) else { return false }
    let size = try file.size()
    guard size >= unit.fileRange(0..<state.items).upperBound, size <= unit.fileBytes else {
      return false
    }
    do {
      if whole {
        try Self.readBack(unit, state, items: 0..<state.items, of: file)
      } else {
        for item in Set([0, state.items - 1]) {
          try Self.readBack(unit, state, items: item..<item + 1, of: file)
        }
      }
      return true
    } catch let error as PackError where error.code == .damaged {
      return false
    }
  }

  /// Reads `items` of a unit from the disk; throws `.damaged` when they are not those of `state`.
  static func readBack(
    _ unit: PackUnit, _ state: UnitProgress, items: Range<Int>, of file: File
  ) throws {
    let perRead = max(1, readBytes / unit.itemBytes)
    let reads = Array(stride(from: items.lowerBound, to: items.upperBound, by: perRead))
    let buffers = BufferPool(byteCount: perRead * unit.itemBytes)
    try ParallelWork.forEach(reads.count, threads: 4) { index in
      let part = reads[index]..<min(items.upperBound, reads[index] + perRead)
      try buffers.withBuffer { buffer in
        let range = unit.fileRange(part)
        let bytes = buffer.bytes.part(0..<range.count)
        try file.readExactly(into: bytes, at: range.lowerBound)
        let found = PieceMaker.checksums(of: UnsafeRawBufferPointer(bytes), as: part, of: unit)
        let count = unit.checksumsPerItem
        guard
          found.elementsEqual(
            state.checksums[part.lowerBound * count..<part.upperBound * count])
        else {
          throw PackError(
            .damaged, path: file.path,
            "bytes \(range.lowerBound)..<\(range.upperBound) are not what was written; the disk or "
              + "the memory is failing")
        }
      }
    }
  }
}
