internal import ExpertPack
internal import FileIO
internal import GGUF
internal import Synchronization

/// Restores the files that say what a pack holds: header archives, checksum table, manifest.
///
/// Nothing is written that the pack does not prove: archives and table by the manifest's digests, the
/// manifest as ``ManifestCandidate`` says. What cannot be proved stays, with the reason in the report.
struct TableRepair {
  let directory: String
  let source: RepairSource
  let threads: Int
  let progress: RepairProgress

  /// Restores what it can.
  func run(report: inout RepairReport) throws {
    let manifest: PackManifest
    do {
      manifest = try PackManifest.load(directory: directory)
    } catch {
      return try restoreManifest(error, report: &report)
    }
    try restore(manifest, report: &report)
  }

  // MARK: The manifest is there

  private func restore(_ manifest: PackManifest, report: inout RepairReport) throws {
    guard !manifest.sources.isEmpty, isPlausible(manifest) else { return }
    var manifest = manifest
    var frames: [[UInt8]] = []
    for shard in manifest.sources.indices {
      guard let record = manifest.record(of: HeaderArchive.fileName(shard: shard)) else { return }
      guard let damage = damage(of: record) else {
        frames.append(try PackDirectory.provenBytes(record, directory: directory))
        continue
      }
      guard
        let frame = try restoreArchive(
          shard, damage: damage, manifest: &manifest, report: &report)
      else { return }
      frames.append(frame)
    }
    let own = try Self.source(frames, manifest: manifest, directory: directory)
    let layout = try PackLayout(source: own)
    guard let record = manifest.record(of: ChecksumTable.fileName),
      let damage = damage(of: record)
    else { return }
    guard
      record.bytes == 8 * UInt64(ChecksumTable.count(layout: layout, kind: manifest.kind))
    else { return }
    if let table = source.pack?.checksums.bytes, Self.digest(table) == record.xxh3_128 {
      return try write(table, damage: damage, report: &report)
    }
    do {
      let table = try checksums(of: manifest, own: own, layout: layout)
      guard Self.digest(table.bytes) == record.xxh3_128 else {
        return report.leave(
          damage,
          "\(source.path) and the intact files of the pack give another table than the manifest "
            + "asks for: the source differs from that of the pack")
      }
      try write(table.bytes, damage: damage, report: &report)
    } catch let error as PackError where error.code == .wrongSource {
      report.leave(damage, error.message)
    }
  }

  /// Lengths that memory may be made for.
  private func isPlausible(_ manifest: PackManifest) -> Bool {
    let archive = UInt64(PackLimits.archiveBytes)
    return manifest.sources.allSatisfy {
      $0.header_bytes <= archive && $0.bytes <= PackLimits.sourceBytes
    }
      && manifest.files.allSatisfy {
        !$0.name.hasPrefix("headers/") || $0.bytes <= archive + archive / 64
      }
      && (manifest.record(of: ChecksumTable.fileName)?.bytes ?? 0)
        <= 8 * UInt64(PackLimits.checksums)
  }

  /// Writes the archive of a shard from the source; nil when it cannot be had.
  private func restoreArchive(
    _ shard: Int, damage: PackFinding, manifest: inout PackManifest, report: inout RepairReport
  ) throws -> [UInt8]? {
    let known = manifest.sources[shard]
    guard let record = manifest.record(of: damage.file) else { return nil }
    guard shard < source.gguf.shards.count,
      source.gguf.shards[shard].fileSize == known.bytes
    else {
      report.leave(damage, "\(source.path) is not the source of this pack: its shards are others")
      return nil
    }
    let archive = try source.archives()[shard]
    let frame = try otherFrame(record) ?? archive.compressed(path: source.gguf.shards[shard].path)
    if Self.digest(frame) == record.xxh3_128 {
      try write(frame, damage: damage, report: &report)
      return frame
    }
    guard manifest.volumes.isEmpty else {
      report.leave(
        damage,
        "\(source.path) gives another archive than the manifest asks for, and the ids of the volumes "
          + "follow from it: the source differs, or another version of zstd made the pack")
      return nil
    }
    progress.stage("reading the source", source.gguf.shards.reduce(0) { $0 + $1.fileSize })
    guard try source.shardDigests(progress: progress.add)[shard] == known.xxh3_128 else {
      report.leave(
        damage,
        "the header of \(source.path) gives another archive than the manifest asks for: the source "
          + "differs from that of the pack")
      return nil
    }
    // The same header, compressed by another version of zstd: the manifest has to follow.
    try write(frame, damage: damage, report: &report)
    let new = PackManifest.PackedFile(
      name: record.name, bytes: UInt64(frame.count),
      digest: frame.withUnsafeBytes { XXH3.hash128($0) })
    manifest = PackManifest(
      kind: manifest.kind, architecture: manifest.architecture, sources: manifest.sources,
      files: manifest.files.filter { $0.name != record.name } + [new],
      requantized: manifest.requantized)
    let layout = try PackLayout(source: source.gguf)
    try writeManifest(
      manifest.text(
        layout: layout, tensors: ManifestTensor.table(source: source.gguf, layout: layout)),
      finding: PackFinding(
        .invalid, file: PackManifest.fileName,
        detail: "has the digest of \(record.name) as another version of zstd compressed it"),
      report: &report)
    report.notes.append(
      "\(record.name) has its content again, proved by the checksum of the source, but not its "
        + "bytes: another version of zstd made them; manifest.json has its new checksum")
    return frame
  }

  /// The archive of the other pack, where it is the one wanted.
  private func otherFrame(_ record: PackManifest.PackedFile) -> [UInt8]? {
    guard let other = source.pack else { return nil }
    return try? PackDirectory.provenBytes(record, directory: other.path)
  }

  /// The headers in `frames`, proved or made for `manifest`.
  static func source(
    _ frames: [[UInt8]], manifest: PackManifest, directory: String
  ) throws -> GGUFFile {
    try GGUFFile(
      shards: zip(frames, manifest.sources).enumerated().map { index, item in
        try HeaderArchive.open(
          frame: item.0, byteCount: Int(item.1.header_bytes), path: item.1.name,
          fileSize: item.1.bytes, shard: index
        ).0
      })
  }

  /// The checksums of the pack: of its own files where they are intact, of the source's bytes else.
  private func checksums(
    of manifest: PackManifest, own: GGUFFile, layout: PackLayout
  ) throws -> ChecksumTable {
    let units = PackUnit.units(of: layout, kind: manifest.kind)
    let known =
      manifest.kind == .packed
      ? try WeightFiles(directory: directory, threads: threads, progress: progress)
        .intactChecksums(units, manifest: manifest) : [:]
    if units.indices.contains(where: { known[$0] == nil }),
      let mismatch = source.mismatch(with: own, layout)
    {
      throw PackError(.wrongSource, path: source.path, mismatch)
    }
    progress.stage(
      "reading the source",
      units.indices.reduce(0) { $0 + (known[$1] == nil ? units[$1].fileBytes : 0) })
    let sums = try units.enumerated().map { index, unit in
      try known[index]
        ?? source.unit(unit, kind: manifest.kind, threads: threads, progress: progress.add)
        .checksums
    }
    // Last: until here the length of the table is a claim of the headers.
    var table = ChecksumTable(layout: layout, kind: manifest.kind)
    for (unit, sums) in zip(units, sums) {
      for (offset, sum) in sums.enumerated() { table.set(unit.firstChecksum + offset, to: sum) }
    }
    return table
  }

  // MARK: The manifest is not there

  private func restoreManifest(_ error: any Error, report: inout RepairReport) throws {
    let problem = try ManifestCandidate.problem(error, directory: directory)
    let candidate = try ManifestCandidate(
      directory: directory, source: source, threads: threads, progress: progress)
    guard let proof = try candidate.proof() else {
      if let error = error as? PackError, error.code == .unsupportedVersion { throw error }
      return report.leave(
        problem,
        "\(source.path) gives a manifest, but nothing that is left of the pack proves that it is "
          + "this one: neither what is left of manifest.json, nor checksums.xxh3 with the headers, "
          + "nor the weights have the checksums of it")
    }
    for (shard, frame) in candidate.frames.enumerated() {
      guard let record = candidate.manifest.record(of: HeaderArchive.fileName(shard: shard)),
        let damage = damage(of: record)
      else { continue }
      try write(frame, damage: damage, report: &report)
    }
    if let record = candidate.manifest.record(of: ChecksumTable.fileName),
      let damage = damage(of: record)
    {
      try write(candidate.table.bytes, damage: damage, report: &report)
    }
    try writeManifest(candidate.text, finding: problem, report: &report)
    report.notes.append("manifest.json was made again from \(source.path), \(proof.text)")
  }

  // MARK: Small files

  /// What is wrong with a small file of the pack; nil when it is intact.
  private func damage(of record: PackManifest.PackedFile) -> PackFinding? {
    do {
      _ = try PackDirectory.provenBytes(record, directory: directory)
      return nil
    } catch let error as PackError {
      let kind: PackFinding.Kind =
        switch error.code {
        case .missing: .missing
        case .wrongLength: .truncated
        default: .damaged
        }
      return PackFinding(kind, file: record.name, length: record.bytes, detail: error.message)
    } catch {
      return PackFinding(
        .unreadable, file: record.name, length: record.bytes, detail: "\(error)")
    }
  }

  private func write(
    _ bytes: [UInt8], damage: PackFinding, report: inout RepairReport
  ) throws {
    let isArchive = damage.file.contains("/")
    guard !isArchive || !Directory.isSymbolicLink(directory + "/headers") else {
      return report.leave(
        damage,
        "headers is a symbolic link; repair writes only within the pack: replace it by a directory")
    }
    do {
      if isArchive { try prepareHeaders() }
      try AtomicFile.write(bytes, to: directory + "/" + damage.file)
      let written = try File.reading(directory + "/" + damage.file)
        .bytes(at: 0, count: bytes.count)
      guard written == bytes else {
        return report.leave(
          damage, "reads back otherwise than it was written; the disk or the memory is failing",
          isSystemFailure: true)
      }
    } catch let error as FileIOError {
      return report.leave(damage, "\(error)", isSystemFailure: true)
    }
    report.repaired.append(damage)
    report.bytesWritten += UInt64(bytes.count)
  }

  private func writeManifest(
    _ text: String, finding: PackFinding, report: inout RepairReport
  ) throws {
    let bytes = Array(text.utf8)
    try write(
      bytes,
      damage: PackFinding(
        finding.kind, file: PackManifest.fileName, length: UInt64(bytes.count),
        detail: finding.detail),
      report: &report)
  }

  /// Makes sure that there is a directory for the archives.
  private func prepareHeaders() throws {
    let path = directory + "/headers"
    guard !Directory.exists(path) else { return }
    try Directory.create(path)
    try AtomicFile.synchronizeDirectory(directory)
  }

  static func digest(_ bytes: [UInt8]) -> String {
    bytes.withUnsafeBytes { XXH3.hash128($0).description }
  }
}

extension PackManifest {
  /// What the manifest says of the file `name`.
  func record(of name: String) -> PackedFile? { files.first { $0.name == name } }
}

/// The files of weights of a packed directory whose table of checksums is not to be had.
struct WeightFiles {
  let directory: String
  let threads: Int
  let progress: RepairProgress

  /// The checksums of each file that has the digest of `manifest`, by index in `units`.
  func intactChecksums(
    _ units: [PackUnit], manifest: PackManifest
  ) throws -> [Int: [UInt64]] {
    let found = Mutex<[Int: [UInt64]]>([:])
    let intact = Mutex<Set<Int>>([])
    var target = PackTarget(path: directory)
    if !manifest.volumes.isEmpty {
      // Files of volumes that cannot be trusted to be the pack's are no help.
      guard let volumes = try? PackDirectory.volumes(of: manifest, directory: directory) else {
        return [:]
      }
      target.volumes = volumes
    }
    var scans: [FileScan] = []
    for (index, unit) in units.enumerated() {
      let place = target.place(unit)
      guard let record = manifest.record(of: unit.name), record.bytes == unit.fileBytes,
        (try? place.reading(direct: false).size()) == unit.fileBytes
      else { continue }
      let count = unit.checksumsPerItem
      found.withLock { $0[index] = [UInt64](repeating: 0, count: unit.itemCount * count) }
      scans.append(
        FileScan(
          place: place, byteCount: unit.fileBytes, unit: unit.itemBytes / count,
          check: { part, bytes in
            let (item, number) = part.quotientAndRemainder(dividingBy: count)
            let sum = XXH3.hash64(bytes, seed: unit.seed(item: item, index: number))
            found.withLock { $0[index]?[part] = sum }
            return nil
          },
          unreadable: { _, range, error in
            PackFinding(
              .unreadable, file: unit.name, offset: range.lowerBound, length: 0,
              detail: error.message)
          },
          finish: { digest in
            if digest.description == record.xxh3_128 { intact.withLock { _ = $0.insert(index) } }
            return nil
          }))
    }
    progress.stage("reading the pack", scans.reduce(0) { $0 + $1.byteCount })
    try FileScan.run(scans, threads: threads, log: FindingLog(), progress: progress.add)
    let whole = intact.withLock { $0 }
    return found.withLock { $0.filter { whole.contains($0.key) } }
  }
}
