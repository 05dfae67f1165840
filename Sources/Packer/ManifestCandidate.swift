internal import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
internal import GGUF

/// The manifest that a source gives for a directory whose own is lost, and what proves that it is the one.
///
/// All of a manifest follows from the source's bytes and the kind of the pack, but for the names of the
/// shards and, in place, their paths.
struct ManifestCandidate {
  /// What proves a manifest.
  enum Proof {
    /// What is left of the lost one has the same digest of itself.
    case ownDigest
    /// What is left of the lost one has the digests of the same shards.
    case sourceDigests
    /// The checksum table and the header archives have its digests.
    case tables
    /// The files of weights have its digests.
    case weights

    /// The proof, in words.
    var text: String {
      let names = "; the names of the source's files are those of the files given"
      return switch self {
      case .ownDigest: "and has the checksum of itself that the damaged one has"
      case .sourceDigests: "whose checksum is the one in what was left of it" + names
      case .tables: "proved by checksums.xxh3 and the headers" + names
      case .weights: "proved by the files of weights\(names), and so are the headers"
      }
    }
  }

  let manifest: PackManifest
  let text: String
  /// The header archives, a shard each.
  let frames: [[UInt8]]
  let table: ChecksumTable
  private let directory: String
  private let source: RepairSource
  private let threads: Int
  private let progress: RepairProgress

  /// What is wrong with the manifest that `error` keeps from loading; throws where there is no pack to
  /// repair, or an unfinished one.
  static func problem(_ error: any Error, directory: String) throws -> PackFinding {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    guard names.contains(PackManifest.fileName) else {
      // The error says whether it is an unfinished pack.
      guard !names.contains(PackJournal.fileName),
        names.contains(ChecksumTable.fileName) || Self.kind(names) == .packed
      else { throw error }
      return PackFinding(.missing, file: PackManifest.fileName, detail: "is missing")
    }
    guard let error = error as? PackError else { throw error }
    if error.code == .notAPack, !names.contains(ChecksumTable.fileName) { throw error }
    return PackFinding(.damaged, file: PackManifest.fileName, detail: error.message)
  }

  /// The kind of pack that has these files.
  private static func kind(_ names: [String]) -> PackKind {
    names.contains {
      $0 == PackDirectory.residentFileName || $0 == PackVolumes.listName
        || $0.hasPrefix("layer-") && $0.hasSuffix(".experts")
    } ? .packed : .inPlace
  }

  /// Reads all of the source.
  init(
    directory: String, source: RepairSource, threads: Int, progress: RepairProgress
  ) throws {
    self.directory = directory
    self.source = source
    self.threads = threads
    self.progress = progress
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    let kind = Self.kind(names)
    let layout = source.layout
    let volumeCount = (try? PackVolumes.load(directory: directory))?.paths.count ?? 0
    if let other = source.pack, other.manifest.kind == kind,
      other.manifest.volumes.count == volumeCount
    {
      manifest = other.manifest
      table = other.checksums
      frames = try manifest.sources.indices.map { shard in
        let name = HeaderArchive.fileName(shard: shard)
        guard let record = other.manifest.record(of: name) else { return [] }
        return try PackDirectory.provenBytes(record, directory: other.path)
      }
    } else {
      let archives = try source.archives()
      frames = try archives.enumerated().map { shard, archive in
        try Self.ownFrame(shard, like: archive, directory: directory)
          ?? archive.compressed(path: source.gguf.shards[shard].path)
      }
      progress.stage("reading the source", source.gguf.shards.reduce(0) { $0 + $1.fileSize })
      let digests = try source.shardDigests(progress: progress.add)
      var table = ChecksumTable(layout: layout, kind: kind)
      var files: [PackManifest.PackedFile] = []
      let units = PackUnit.units(of: layout, kind: kind)
      progress.stage("computing the manifest", units.reduce(0) { $0 + $1.fileBytes })
      for unit in units {
        let state = try source.unit(unit, kind: kind, threads: threads, progress: progress.add)
        for (offset, sum) in state.checksums.enumerated() {
          table.set(unit.firstChecksum + offset, to: sum)
        }
        guard kind == .packed, let digest = state.value else { continue }
        files.append(.init(name: unit.name, bytes: unit.fileBytes, digest: digest))
      }
      func file(_ name: String, _ bytes: [UInt8]) -> PackManifest.PackedFile {
        .init(
          name: name, bytes: UInt64(bytes.count), digest: bytes.withUnsafeBytes { XXH3.hash128($0) }
        )
      }
      files += frames.enumerated().map { file(HeaderArchive.fileName(shard: $0), $1) }
      files.append(file(ChecksumTable.fileName, table.bytes))
      self.table = table
      let target = PackTarget(path: directory)
      manifest = PackManifest(
        kind: kind, architecture: try PackManifest.architecture(of: source.gguf),
        sources: try source.gguf.shards.enumerated().map { index, shard in
          guard let digest = Digest128(hexadecimal: digests[index]) else {
            preconditionFailure("digests are hexadecimal")
          }
          return .init(
            name: source.pack?.manifest.sources[index].name ?? target.lastComponent(of: shard.path),
            bytes: shard.fileSize, digest: digest, headerBytes: UInt64(archives[index].bytes.count),
            path: kind == .inPlace ? try target.recordedPath(of: shard.path) : nil)
        }, files: files, requantized: TypeChange(source.gguf.metadata),
        volumeCount: volumeCount)
    }
    text = manifest.text(
      layout: layout, tensors: ManifestTensor.table(source: source.gguf, layout: layout))
  }

  /// The archive of a shard that the directory has, when its content is that of `archive`: another
  /// version of zstd may have made it.
  private static func ownFrame(
    _ shard: Int, like archive: HeaderArchive, directory: String
  ) throws -> [UInt8]? {
    let path = directory + "/" + HeaderArchive.fileName(shard: shard)
    guard let file = try? File.reading(path), let size = try? file.size(),
      size <= UInt64(archive.bytes.count + archive.bytes.count / 128 + 4096),
      let frame = try? file.bytes(at: 0, count: Int(size)),
      let content = try? HeaderArchive.content(
        of: frame, byteCount: archive.bytes.count, path: path),
      content.bytes.elementsEqual(archive.bytes.bytes)
    else { return nil }
    return frame
  }

  /// What proves that this was the directory's manifest; nil when nothing does.
  func proof() throws -> Proof? {
    let left = remainder
    if let digest = Self.digestMember(Array(text.utf8)), Self.digestMember(left) == digest {
      return .ownDigest
    }
    if manifest.sources.allSatisfy({ left.contains(Array($0.xxh3_128.utf8)) }) {
      return .sourceDigests
    }
    let tables = manifest.files.filter {
      $0.name == ChecksumTable.fileName || $0.name.hasPrefix("headers/")
    }
    if tables.allSatisfy({
      (try? PackDirectory.provenBytes($0, directory: directory)) != nil
    }) {
      return .tables
    }
    guard manifest.kind == .packed else { return nil }
    let units = PackUnit.units(of: source.layout, kind: .packed)
    let intact = try WeightFiles(directory: directory, threads: threads, progress: progress)
      .intactChecksums(units, manifest: manifest)
    return intact.count == units.count ? .weights : nil
  }

  /// The bytes that are left of the lost manifest.
  private var remainder: [UInt8] {
    guard let file = try? File.reading(directory + "/" + PackManifest.fileName),
      let size = try? file.size(), size <= UInt64(PackLimits.manifestBytes)
    else { return [] }
    return (try? file.bytes(at: 0, count: Int(size))) ?? []
  }

  /// The digits of the member `digest` in `bytes`.
  private static func digestMember(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
    let name = Array("\"digest\": \"".utf8)
    guard let start = bytes.firstRange(of: name)?.upperBound, bytes.count - start >= 32 else {
      return nil
    }
    return bytes[start..<start + 32]
  }
}
