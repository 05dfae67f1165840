internal import ExpertPack
internal import FileIO
internal import GGUF

/// Holds what a journal claims against the source, the program and the files that are there.
struct ResumptionCheck {
  let source: GGUFFile
  let kind: PackKind
  let target: PackTarget

  private var directory: String { target.path }

  /// Bytes read at a time when a file is read back.
  private static let readBytes = 8 << 20
  private static let readThreads = 4

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
    zip(journal.shards, contents).contains { $0.modified != $1.modified }
  }

  /// Whether the file of `unit` holds the items of `state`: all of them, or for a quick look the first
  /// and the last.
  func isIntact(_ unit: PackUnit, _ state: UnitProgress, whole: Bool) throws -> Bool {
    guard let file = try? target.place(unit).reading() else { return false }
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
    _ unit: PackUnit, _ state: UnitProgress, items: Range<Int>, of file: RecordFile
  ) throws {
    let partBytes = unit.itemBytes / unit.checksumsPerItem
    let parts = items.lowerBound * unit.checksumsPerItem..<items.upperBound * unit.checksumsPerItem
    let buffers = BufferPool(byteCount: readBytes)
    // A few parts a job, or one in several reads.
    let perJob = max(1, readBytes / partBytes)
    let jobs = Array(stride(from: parts.lowerBound, to: parts.upperBound, by: perJob))
    let end = unit.fileRange(items).upperBound
    try ParallelWork.forEach(jobs.count, threads: readThreads) { job in
      let run = jobs[job]..<min(parts.upperBound, jobs[job] + perJob)
      let range =
        UInt64(run.lowerBound * partBytes)..<min(end, UInt64(run.upperBound * partBytes))
      try buffers.withBuffer { buffer in
        var hash: XXH3Stream64?
        var part = run.lowerBound
        for start in stride(from: range.lowerBound, to: range.upperBound, by: readBytes) {
          let count = Int(min(UInt64(readBytes), range.upperBound - start))
          try file.readExactly(into: buffer.bytes.part(0..<count), at: start)
          var done = 0
          while done < count {
            let partEnd = min(end, UInt64((part + 1) * partBytes))
            let next = Int(min(UInt64(count), partEnd - start))
            let (item, index) = part.quotientAndRemainder(dividingBy: unit.checksumsPerItem)
            let current = hash ?? XXH3Stream64(seed: unit.seed(item: item, index: index))
            current.update(UnsafeRawBufferPointer(buffer.bytes.part(done..<next)))
            hash = current
            done = next
            guard start + UInt64(next) == partEnd else { continue }
            guard current.value == state.checksums[part] else {
              throw PackError(
                .damaged, path: file.path,
                "bytes \(part * partBytes)..<\(partEnd) are not what was written; the disk "
                  + "or the memory is failing")
            }
            hash = nil
            part += 1
          }
        }
      }
    }
  }
}
