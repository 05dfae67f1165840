internal import ExpertPack
internal import FileIO
internal import GGUF
internal import Synchronization

/// One run of a conversion: makes what the journal does not claim, and claims it.
///
/// Pieces are made by many threads and taken over by one at a time, in the order of the pack; so all that
/// the journal says is about a beginning of each file.
final class PackConversion: @unchecked Sendable {
  // Sendable: the members that change are touched only by the thread that takes a piece over, and before
  // and after the threads run; `files` is behind a mutex.

  private(set) var journal: ConversionJournal
  private(set) var checksums: ChecksumTable
  private var states: [UnitProgress]
  /// Items of each unit that the journal claims.
  private var claimed: [Int]
  private let maker: PieceMaker
  private let shards: [SourceShard]
  private let kind: PackKind
  private let target: PackTarget
  private let consumer: SourceConsumer?
  private let checkpointBytes: Int
  private let largestLayer: Int
  private let progress: PackProgress
  /// Where the header of each shard ends.
  private let headerEnds: [UInt64]
  private let files = Mutex<[Int: RecordFile]>([:])

  private var units: [PackUnit] { maker.units }

  /// Pieces that threads may be ahead of the one that is taken over next: enough to go on while one of
  /// them flushes, and no more than half a layer, which is made again after a kill.
  private func window(threads: Int) -> Int {
    let pieces = units.filter { $0.name != PackDirectory.residentFileName }
    let pieceBytes = pieces.map { $0.itemsPerJob * $0.itemBytes }.max() ?? 1
    return max(2, min(4 * threads, largestLayer / 2 / pieceBytes))
  }

  /// A run that goes on from `journal`, which is checked against the source and the files that are there.
  init(
    source: GGUFFile, contents: [any ByteSource], layout: PackLayout, kind: PackKind,
    target: PackTarget, journal: ConversionJournal, consumer: SourceConsumer?,
    options: ConversionOptions, progress: @escaping PackProgress
  ) throws {
    let check = ResumptionCheck(source: source, kind: kind, target: target)
    let snapshots = try check.snapshots(journal, contents: contents)
    shards = zip(zip(contents, source.shards), snapshots).enumerated().map { index, item in
      SourceShard(
        content: item.0.0, byteCount: item.0.1.fileSize,
        digest: ShardDigest(
          from: item.1,
          sumsPath: target.path + "/" + ConversionJournal.sumsName(shard: index)))
    }
    maker = PieceMaker(source: source, layout: layout, kind: kind, shards: shards)
    self.journal = journal
    self.kind = kind
    self.target = target
    self.consumer = consumer
    self.progress = progress
    headerEnds = source.shards.map(\.header.byteCount)
    largestLayer = Int(PackUnit.largestLayer(of: layout))
    checkpointBytes = min(options.checkpointBytes, largestLayer)
    checksums = ChecksumTable(layout: layout, kind: kind)
    states = try check.progress(journal, units: maker.units)
    claimed = states.map(\.items)
    try checkWhatIsThere(check, contents: contents)
    for (index, unit) in maker.units.enumerated() {
      for (offset, sum) in states[index].checksums.enumerated() {
        checksums.set(unit.firstChecksum + offset, to: sum)
      }
    }
  }

  /// Holds files and source against what the journal claims; a unit that is not as it should be is made
  /// again while its source is there.
  private func checkWhatIsThere(_ check: ResumptionCheck, contents: [any ByteSource]) throws {
    let last = claimed.lastIndex { $0 > 0 }
    for index in units.indices where claimed[index] > 0 && kind == .packed {
      // The last unit may have been in the disk's own memory when its power went.
      let whole = index == last || (consumer != nil && !journal.consumes)
      guard try !check.isIntact(units[index], states[index], whole: whole) else { continue }
      guard !journal.consumes else {
        throw PackError(
          .damaged, path: target.path + "/" + units[index].name,
          "is not as it was written, and its source has been given back; the pack cannot be finished"
        )
      }
      states[index] = UnitProgress(units[index])
      claimed[index] = 0
    }
    // What has been packed may be of another content, and so may the digest's beginning.
    if !journal.consumes, check.isTouched(journal, contents: contents) {
      throw check.wrongSource("it has been written to since the conversion began")
    }
  }

  /// Makes all that is missing.
  func run(threads: Int) throws {
    // Headers first: they may be given back with the first bytes.
    if !journal.consumes {
      for (index, end) in headerEnds.enumerated() { try maker.digest(0..<end, ofShard: index) }
    }
    try consumeWhatIsClaimed()
    for index in units.indices where kind == .packed && units[index].itemCount == 0 {
      try file(index).resize(to: 0)
      states[index].value = [UInt8]().withUnsafeBytes { states[index].digest.value(rest: $0) }
    }
    progressOfClaims()
    let jobs = PackJob.jobs(units, done: claimed)
    let count = maker.threads(atMost: threads)
    try OrderedWork.forEach(
      jobs.count, threads: count, window: window(threads: count)
    ) { [self] index in
      let job = jobs[index]
      let file = kind == .packed ? try file(job.unit) : nil
      try reserve(job, in: file)
      let piece = try maker.make(job.unit, items: job.items, to: file)
      progress(piece.sourceBytes)
      return piece
    } commit: { [self] index, piece in
      try take(piece, of: jobs[index])
    }
    for (index, shard) in shards.enumerated() {
      for range in shard.digest.missing { try maker.digest(range, ofShard: index) }
    }
    try writeJournal()
  }

  private func progressOfClaims() {
    for index in units.indices where claimed[index] > 0 {
      progress(maker.sourceBytes(index, items: 0..<claimed[index]))
    }
  }

  private func file(_ index: Int) throws -> RecordFile {
    try files.withLock { files in
      if let file = files[index] { return file }
      let file = try target.place(units[index]).continuing(direct: true)
      try file.trim(to: units[index].fileBytes)
      files[index] = file
      return file
    }
  }

  /// Reserves room for what is written up to the next entry of the journal.
  private func reserve(_ job: PackJob, in file: RecordFile?) throws {
    guard let file else { return }
    let unit = units[job.unit]
    let range = unit.fileRange(job.items)
    let step = UInt64(max(checkpointBytes, unit.itemBytes))
    let isFirst = job.items.lowerBound == claimed[job.unit]
    guard
      isFirst || range.lowerBound % step == 0
        || range.lowerBound / step != (range.upperBound - 1) / step
    else { return }
    let end = min(unit.fileBytes, (range.upperBound + step - 1) / step * step)
    try file.reserve(range.lowerBound..<end)
  }

  /// Takes over the next piece.
  private func take(_ piece: PackPiece, of job: PackJob) throws {
    let unit = units[job.unit]
    for (offset, sum) in piece.checksums.enumerated() {
      checksums.set(
        unit.firstChecksum + job.items.lowerBound * unit.checksumsPerItem + offset, to: sum)
    }
    states[job.unit].add(piece, items: job.items.count, of: unit)
    let bytes = unit.fileRange(claimed[job.unit]..<job.items.upperBound).count
    guard job.items.upperBound == unit.itemCount || bytes >= checkpointBytes else { return }
    try checkpoint(job.unit)
  }

  /// Flushes what has been written of a unit, claims it, and gives back its source.
  private func checkpoint(_ index: Int) throws {
    let unit = units[index]
    let items = claimed[index]..<states[index].items
    if kind == .packed {
      let file = try file(index)
      try file.synchronize()
      if items.lowerBound == 0 {
        for directory in [target.path] + target.volumes {
          try AtomicFile.synchronizeDirectory(directory)
        }
      }
      if consumer != nil {
        try ResumptionCheck.readBack(unit, states[index], items: items, of: file)
      }
      if items.upperBound == unit.itemCount { files.withLock { $0[index] = nil } }
    }
    if consumer != nil { journal.consumes = true }
    claimed[index] = items.upperBound
    try writeJournal()
    try consume(index, items: items)
  }

  private func writeJournal() throws {
    let snapshots = try shards.map { try $0.digest.durableSnapshot() }
    for (index, snapshot) in snapshots.enumerated() { journal.shards[index].set(snapshot) }
    journal.units = zip(units, states).enumerated().compactMap { index, item in
      claimed[index] > 0 ? item.1.entry(name: item.0.name) : nil
    }
    try journal.write(in: target.path)
    for (shard, snapshot) in zip(shards, snapshots) { shard.digest.discardSums(before: snapshot) }
  }

  private func consume(_ index: Int, items: Range<Int>) throws {
    guard let consumer else { return }
    try consumer.punch(maker.sourcePages(index, items: items))
  }

  /// Gives back what an earlier run claimed.
  private func consumeWhatIsClaimed() throws {
    guard consumer != nil, claimed.contains(where: { $0 > 0 }) else { return }
    if !journal.consumes {
      journal.consumes = true
      try writeJournal()
    }
    for index in units.indices { try consume(index, items: 0..<claimed[index]) }
  }

  /// The digests of the shards, once everything has been made.
  var sourceDigests: [Digest128] { shards.map(\.digest.value) }

  /// The files of weights, as the manifest lists them.
  var weightFiles: [PackManifest.PackedFile] {
    guard kind == .packed else { return [] }
    return zip(units, states).compactMap { unit, state in
      state.value.map { .init(name: unit.name, bytes: unit.fileBytes, digest: $0) }
    }
  }
}
