public import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
public import GGUF

/// Converts an opened GGUF into a pack directory.
///
/// Each byte of the source is read once and each byte of the pack written once, in pieces of a few
/// megabytes that any number of threads read, cut, hash and write. A journal says what is done and
/// flushed, so that an interrupted conversion can go on; the manifest comes last, so that a directory is
/// either a complete pack or recognizably unfinished, whenever the process dies.
public struct PackWriter: Sendable {
  private let source: GGUFFile
  private let layout: PackLayout
  private let kind: PackKind
  private let threads: Int
  /// The bytes of the shards when they are no files.
  private let generated: [any ByteSource]?

  /// Lays out `source`, to be read, cut and hashed by `threads` threads; throws when it is not a
  /// mixture of experts that can be packed.
  public init(source: GGUFFile, kind: PackKind, threads: Int) throws {
    try self.init(source: source, generated: nil, kind: kind, threads: threads)
  }

  /// Lays out a source whose bytes `generated` makes, a shard each, instead of the files that the
  /// shards name; nil for files.
  init(
    source: GGUFFile, generated: [any ByteSource]?, kind: PackKind, threads: Int
  ) throws {
    precondition(
      generated == nil || (kind == .packed && generated?.count == source.shards.count),
      "an in-place pack points into files")
    self.source = source
    self.generated = generated
    self.kind = kind
    self.threads = threads
    layout = try PackLayout(source: source)
  }

  /// Bytes that ``write(to:options:progress:)`` reports as progress in all.
  public var progressBytes: UInt64 { source.tensors.reduce(0) { $0 + $1.byteCount } }

  /// Writes the pack to `directory`.
  ///
  /// An absent or empty directory and one that an interrupted conversion left are used; a finished
  /// pack only with `overwrite`; any other directory is refused untouched.
  /// - Returns: The finished manifest.
  @discardableResult
  public func write(
    to directory: String, overwrite: Bool, progress: @escaping PackProgress
  ) throws -> PackManifest {
    try write(
      to: directory, options: .init(existing: overwrite ? .replace : .restart), progress: progress)
  }

  /// Writes the pack to `directory`, or what is missing of it.
  ///
  /// A directory with other files than those of a pack is refused untouched, and so is one whose disk has
  /// too little room. When it throws later, the pack can be resumed.
  /// - Returns: The finished manifest.
  @discardableResult
  public func write(
    to directory: String, options: ConversionOptions, progress: @escaping PackProgress
  ) throws -> PackManifest {
    precondition(!options.consumesSource || (kind == .packed && generated == nil))
    let contents: [any ByteSource] =
      try generated ?? source.shards.map { try SourceShard.open($0.path) }
    let consumer = options.consumesSource ? try SourceConsumer(source) : nil
    if consumer == nil {
      for case let file as File in contents where !file.lockShared() {
        throw FileIOError(
          .inUse, path: file.path, message: "is being consumed by another conversion")
      }
    }
    precondition(options.stripe.isEmpty || (kind == .packed && !options.consumesSource))
    var target = PackTarget(path: directory)
    let planned = try ConversionVolumes.planned(below: options.stripe, pack: directory)
    let space = PackSpace(
      source: source, layout: layout, kind: kind, stepBytes: UInt64(options.checkpointBytes))
    let (lock, found) = try target.prepare(options.existing) { present in
      try space.check(
        at: directory, present: present, volumes: planned, consuming: consumer != nil)
    }
    defer { withExtendedLifetime(lock) {} }
    let journal: ConversionJournal
    let volumes: ConversionVolumes
    switch found {
    case .finished(let journal):
      return try CompletedPack(target: target, journal: journal)
        .finish(source: source, consumer: consumer)
    case .unfinished(let found):
      journal = found
      volumes = try .reopen(journal, planned: planned, pack: directory)
      try restoreArchives(target, journal: journal, contents: contents)
    case .empty: (journal, volumes) = try begin(target, volumes: planned, contents: contents)
    }
    defer { withExtendedLifetime(volumes.locks) {} }
    target.volumes = volumes.directories
    let conversion = try PackConversion(
      source: source, contents: contents, layout: layout, kind: kind, target: target,
      journal: journal, consumer: consumer, options: options, progress: progress)
    try conversion.run(threads: threads)
    if consumer == nil { try checkUntouched(contents, since: journal, target: target) }
    let manifest = try manifest(of: conversion, target: target)
    let tensors = ManifestTensor.table(source: source, layout: layout)
    try target.commit(manifest: manifest.text(layout: layout, tensors: tensors))
    if let consumer {
      try target.markAsOnlyCopy()
      try consumer.punchAll()
    }
    try target.finish()
    return manifest
  }

  /// Throws when anybody has written to the source since the conversion began.
  private func checkUntouched(
    _ contents: [any ByteSource], since journal: ConversionJournal, target: PackTarget
  ) throws {
    for (index, content) in contents.enumerated() {
      guard content.modified != journal.shards[index].modified else { continue }
      throw PackError(
        .wrongSource, path: source.shards[index].path,
        "was written to while it was packed, so \(target.path) may hold a mixture and stays unfinished; "
          + "start again with --overwrite when the file is complete")
    }
  }

  /// Writes the archives of the headers, and what the first journal says.
  private func begin(
    _ target: PackTarget, volumes: [String], contents: [any ByteSource]
  ) throws -> (ConversionJournal, ConversionVolumes) {
    let shards = try source.shards.enumerated().map { index, shard in
      let (archive, file) = try writeArchive(index, to: target, contents: contents)
      return ConversionJournal.Shard(
        shard: shard, name: target.lastComponent(of: shard.path),
        headerBytes: archive.bytes.count,
        headerDigest: XXH3.hash128(UnsafeRawBufferPointer(archive.bytes.bytes)), archive: file,
        modified: contents[index].modified,
        rest: try SourceShard.rest(of: contents[index], byteCount: shard.fileSize))
    }
    try AtomicFile.synchronizeDirectory(target.path + "/headers")
    let journal = ConversionJournal(
      kind: kind.rawValue, consumes: false, shards: shards, units: [])
    // Before the journal, so that who goes on finds them.
    let made: ConversionVolumes =
      volumes.isEmpty
      ? .none
      : try .create(
        volumes, ids: ConversionVolumes.ids(of: journal, count: volumes.count), pack: target.path)
    try journal.write(in: target.path)
    return (journal, made)
  }

  private func writeArchive(
    _ index: Int, to target: PackTarget, contents: [any ByteSource]
  ) throws -> (HeaderArchive, PackManifest.PackedFile) {
    let shard = source.shards[index]
    let archive = try HeaderArchive(shard: shard) { buffer, offset in
      try Self.read(contents[index], into: buffer, at: offset)
    }
    let frame = try archive.compressed(path: shard.path)
    return (archive, try target.write(frame, name: HeaderArchive.fileName(shard: index)))
  }

  /// Writes archives of headers again that are not as the journal says.
  private func restoreArchives(
    _ target: PackTarget, journal: ConversionJournal, contents: [any ByteSource]
  ) throws {
    for (index, shard) in journal.shards.enumerated()
    where index < source.shards.count && !journal.consumes {
      guard (try? PackDirectory.provenBytes(shard.archive, directory: target.path)) == nil else {
        continue
      }
      let (_, file) = try writeArchive(index, to: target, contents: contents)
      guard file.xxh3_128 == shard.archive.xxh3_128, file.name == shard.archive.name else {
        throw PackError(
          .wrongSource, path: target.path,
          "was begun from another source than \(source.shards[index].path); give that one, or start "
            + "again with --overwrite")
      }
    }
  }

  /// Reads any bytes of a shard that may ask for whole pages.
  static func read(
    _ content: any ByteSource, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws {
    guard let file = content as? File, file.isDirect else {
      return try content.readExactly(into: buffer, at: offset)
    }
    try File.reading(file.path).readExactly(into: buffer, at: offset)
  }

  private func manifest(
    of conversion: PackConversion, target: PackTarget
  ) throws -> PackManifest {
    let digests = conversion.sourceDigests
    var files = conversion.weightFiles + conversion.journal.shards.map(\.archive)
    files.append(try target.write(conversion.checksums.bytes, name: ChecksumTable.fileName))
    return PackManifest(
      kind: kind, architecture: try PackManifest.architecture(of: source),
      sources: try source.shards.enumerated().map { index, shard in
        .init(
          name: target.lastComponent(of: shard.path), bytes: shard.fileSize,
          digest: digests[index], headerBytes: conversion.journal.shards[index].headerBytes,
          path: kind == .inPlace ? try target.recordedPath(of: shard.path) : nil)
      }, files: files, requantized: TypeChange(source.metadata),
      volumeCount: target.volumes.count)
  }
}
