public import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
internal import GGUF

/// Rebuilds the GGUF that a pack was made from, byte for byte.
public struct PackExporter: Sendable {
  private let pack: PackDirectory
  private let threads: Int

  /// Throws for an in-place pack, which holds no expert data.
  public init(pack: PackDirectory, threads: Int) throws {
    guard pack.manifest.kind == .packed else {
      let source = pack.source.shards.first?.path ?? "the source"
      throw PackError(
        .unsupportedSource, path: pack.path,
        "is an in-place pack: its weights are still in \(source), there is nothing to export")
    }
    self.pack = pack
    self.threads = threads
  }

  /// Bytes that ``export(to:overwrite:progress:)`` reports as progress in all: each byte written,
  /// and read once more to prove it.
  public var progressBytes: UInt64 { pack.source.shards.reduce(0) { $0 + 2 * $1.fileSize } }

  /// Writes the source to `path`; one that came in shards is written as its shards, of which `path`
  /// names the first.
  ///
  /// Each file is written beside its name, proved by the digest of the source and renamed.
  /// - Returns: The paths written.
  @discardableResult
  public func export(
    to path: String, overwrite: Bool, progress: @escaping PackProgress
  ) throws -> [String] {
    let targets = try targets(first: path)
    for target in targets where Directory.exists(target) {
      throw FileIOError(
        .alreadyExists, path: target, message: "is a directory; expected the name of a file")
    }
    for target in targets { try checkTarget(target) }
    for target in targets where !overwrite && FileManager.default.fileExists(atPath: target) {
      throw FileIOError(
        .alreadyExists, path: target, message: "exists; give --overwrite to replace it")
    }
    let partials = targets.map { $0 + ".partial" }
    var files: [File] = []
    do {
      for partial in partials { files.append(try File.creatingAlone(partial)) }
      try writeHeaders(to: files, progress: progress)
      try writeTensors(to: files, progress: progress)
      try prove(files, progress: progress)
      for (partial, target) in zip(partials, targets) {
        try AtomicFile.rename(partial, to: target)
      }
    } catch {
      for partial in partials.prefix(files.count) { try? Directory.removeFile(partial) }
      throw error
    }
    return targets
  }

  /// Throws for what is there and no file, and for names in the pack itself.
  private func checkTarget(_ path: String) throws {
    let type = try? FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType
    guard type == nil || type == .typeRegular || type == .typeSymbolicLink else {
      throw FileIOError(
        .alreadyExists, path: path,
        message: "is no regular file; expected the name of a new file or of one to replace")
    }
    let parent = URL(filePath: path).deletingLastPathComponent().resolvingSymlinksInPath().path
    let own = URL(filePath: pack.path).resolvingSymlinksInPath().path
    guard parent != own, !parent.hasPrefix(own + "/") else {
      throw FileIOError(
        .alreadyExists, path: path,
        message: "lies in the pack that is exported; give a name elsewhere")
    }
  }

  /// The names of the shards when the first is called `first`.
  private func targets(first: String) throws -> [String] {
    let count = pack.source.shards.count
    guard count > 1 else { return [first] }
    let suffix = Self.shardSuffix(0, of: count)
    guard first.hasSuffix(suffix) else {
      throw FileIOError(
        .system, path: first,
        message: "the source came in \(count) shards and is exported so; expected a name that ends "
          + "in \(suffix)")
    }
    let stem = first.dropLast(suffix.count)
    return (0..<count).map { stem + Self.shardSuffix($0, of: count) }
  }

  private static func shardSuffix(_ index: Int, of count: Int) -> String {
    func digits(_ number: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, 5 - text.count)) + text
    }
    return "-\(digits(index + 1))-of-\(digits(count)).gguf"
  }

  private func writeHeaders(to files: [File], progress: PackProgress) throws {
    for (index, archive) in pack.archives.enumerated() {
      var done = 0
      for region in archive.regions {
        let bytes = archive.bytes.bytes.part(done..<done + region.count)
        try files[index].write(UnsafeRawBufferPointer(bytes), at: region.lowerBound)
        done += region.count
      }
      progress(UInt64(done))
    }
  }

  private func writeTensors(to files: [File], progress: @escaping PackProgress) throws {
    let content = try PackContent(pack: pack)
    for layer in pack.expertLayers {
      try ParallelWork.forEach(layer.expertCount, threads: threads) { expert in
        let matrices = try content.matrices(layer: layer, expert: expert, verify: true)
        var start = 0
        for source in layer.sources {
          let bytes = matrices.bytes.part(start..<start + source.byteCount)
          try files[source.shard].write(
            UnsafeRawBufferPointer(bytes), at: source.offset(ofExpert: expert))
          start += source.byteCount
          progress(UInt64(source.byteCount))
        }
      }
    }
    try content.forEachResidentPiece { tensor, offset, bytes in
      try files[tensor.shard].write(bytes, at: offset)
      progress(UInt64(bytes.count))
    }
  }

  /// Reads what was written once more: only a file with the source's digest gets its name.
  private func prove(_ files: [File], progress: @escaping PackProgress) throws {
    let buffer = try AlignedBuffer(count: 4 << 20)
    for (file, source) in zip(files, pack.manifest.sources) {
      try file.synchronize()
      let digest = try SourceDigests.digest(
        of: file, byteCount: source.bytes, buffer: buffer, progress: progress)
      guard digest.description == source.xxh3_128 else {
        throw PackError(
          .damaged, path: pack.path,
          "the export of \(source.name) has checksum \(digest), the source had "
            + "\(source.xxh3_128); the pack is damaged, run moepack verify")
      }
    }
  }
}
