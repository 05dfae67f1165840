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
/// Files are written and flushed one by one; the manifest comes last, so that a directory is either
/// a complete pack or recognizably unfinished, whenever the process dies.
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

  /// Bytes that ``write(to:overwrite:progress:)`` reports as progress in all.
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
    let shards: [any ByteSource] =
      try generated ?? source.shards.map { try File.reading($0.path) }
    let target = PackTarget(path: directory)
    let lock = try target.prepare(overwrite: overwrite)
    defer { withExtendedLifetime(lock) {} }
    let contents = Contents()
    try ParallelWork.forEach(2, threads: 2) { job in
      if job == 0 {
        try writeContents(
          of: shards, to: target, contents: contents, progress: progress)
      } else {
        // The digest of a shard needs its bytes in file order, which packing does not read in; the
        // second reader runs beside the first and mostly meets pages that it has brought in.
        contents.sourceDigests = try SourceDigests.compute(source.shards, contents: shards)
      }
    }
    let manifest = PackManifest(
      kind: kind, architecture: try PackManifest.architecture(of: source),
      sources: try source.shards.enumerated().map { index, shard in
        .init(
          name: target.lastComponent(of: shard.path), bytes: shard.fileSize,
          digest: contents.sourceDigests[index], headerBytes: contents.headerBytes[index],
          path: kind == .inPlace ? try target.recordedPath(of: shard.path) : nil)
      }, files: contents.files, requantized: TypeChange(source.metadata))
    let tensors = ManifestTensor.table(source: source, layout: layout)
    try target.commit(manifest: manifest.text(layout: layout, tensors: tensors))
    return manifest
  }

  /// What the two jobs of a conversion leave for the manifest; each member is written by one of
  /// them and read after both have ended.
  private final class Contents: @unchecked Sendable {
    var files: [PackManifest.PackedFile] = []
    var headerBytes: [UInt64] = []
    var sourceDigests: [Digest128] = []
  }

  private func writeContents(
    of shards: [any ByteSource], to target: PackTarget, contents: Contents,
    progress: @escaping PackProgress
  ) throws {
    for (index, shard) in source.shards.enumerated() {
      let archive = try HeaderArchive(shard: shard) { buffer, offset in
        try shards[index].readExactly(into: buffer, at: offset)
      }
      let frame = try archive.compressed(path: shard.path)
      contents.headerBytes.append(UInt64(archive.bytes.count))
      contents.files.append(
        try target.write(frame, name: HeaderArchive.fileName(shard: index)))
    }

    var checksums = ChecksumTable(layout: layout, kind: kind)
    for (position, layer) in layout.layers.enumerated() {
      let writer = LayerWriter(layer: layer, shards: shards, threads: threads)
      let sums: [UInt64]
      switch kind {
      case .packed:
        let file = try target.createDirect(layer.fileName)
        let result = try writer.write(to: file, progress: progress)
        sums = result.checksums
        if let digest = result.digest {
          contents.files.append(
            .init(name: layer.fileName, bytes: layer.fileBytes, digest: digest))
        }
      case .inPlace:
        sums = try writer.sourceChecksums(progress: progress)
      }
      let first = checksums.index(layerPosition: position, expert: 0, extent: 0)
      for (index, sum) in sums.enumerated() { checksums.set(first + index, to: sum) }
    }

    let residentName = PackDirectory.residentFileName
    let resident = try ResidentStream(
      file: kind == .packed ? try target.createDirect(residentName) : nil)
    for index in layout.residentOrder {
      let tensor = source.tensors[index]
      guard case .resident(let offset) = layout.places[index] else { continue }
      try resident.pad(to: offset)
      try resident.append(shards[tensor.shard], at: tensor.offset, count: tensor.byteCount)
      progress(tensor.byteCount)
    }
    try resident.pad(to: layout.residentBytes)
    try resident.finish()
    for (block, sum) in resident.checksums.enumerated() {
      checksums.set(checksums.index(residentBlock: block), to: sum)
    }
    if kind == .packed {
      contents.files.append(
        .init(name: residentName, bytes: layout.residentBytes, digest: resident.digest))
    }
    contents.files.append(try target.write(checksums.bytes, name: ChecksumTable.fileName))
  }
}
