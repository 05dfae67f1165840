public import ExpertPack
internal import FileIO
internal import GGUF
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif

/// A pack whose manifest stands, and what an interrupted conversion may have left to do for it.
public struct CompletedPack {
  private let target: PackTarget
  private let journal: ConversionJournal?
  private var lock: DirectoryLock?

  init(target: PackTarget, journal: ConversionJournal?) {
    self.target = target
    self.journal = journal
  }

  /// The finished pack in `directory`, kept from other conversions; nil when there is none, also when one
  /// was about to be replaced.
  public static func find(in directory: String) throws -> CompletedPack? {
    let manager = FileManager.default
    guard manager.fileExists(atPath: directory + "/" + PackManifest.fileName) else { return nil }
    let lock = try DirectoryLock(directory)
    let journal = try ConversionJournal.read(in: directory)
    guard journal != nil || !PackJournal.exists(in: directory) else { return nil }
    var pack = CompletedPack(target: PackTarget(path: directory), journal: journal)
    pack.lock = lock
    return pack
  }

  /// Finishes the pack, which was made from the file at `path`.
  ///
  /// Throws `.wrongSource` when it was not. Where the conversion was to give its source back and
  /// `consumesSource` says so again, the rest of it goes.
  public func finish(source path: String, consumesSource: Bool) throws -> PackManifest {
    let consumes = consumesSource && journal?.consumes == true
    if !consumes, let source = try? GGUFFile.open(path) {
      return try finish(source: source, consumer: nil)
    }
    let pack = try PackDirectory.open(target.path)
    let size = try File.reading(path).size()
    guard pack.manifest.sources.contains(where: { $0.bytes == size }) else { throw wrongSource }
    if consumes {
      try target.markAsOnlyCopy()
      let folder = URL(filePath: path).deletingLastPathComponent().relativePath
      try SourceConsumer.punchAll(
        pack.manifest.sources.map { path.contains("/") ? folder + "/" + $0.name : $0.name })
    }
    try target.finish()
    return pack.manifest
  }

  func finish(source: GGUFFile, consumer: SourceConsumer?) throws -> PackManifest {
    let pack = try PackDirectory.open(target.path)
    guard pack.manifest.sources.count == source.shards.count,
      zip(pack.source.shards, source.shards).allSatisfy({ own, other in
        own.fileSize == other.fileSize
          && own.header.bytes.withUnsafeBytes { one in
            other.header.bytes.withUnsafeBytes { one.elementsEqual($0) }
          }
      })
    else { throw wrongSource }
    if journal?.consumes == true, let consumer {
      try target.markAsOnlyCopy()
      try consumer.punchAll()
    }
    try target.finish()
    return pack.manifest
  }

  private var wrongSource: PackError {
    PackError(
      .wrongSource, path: target.path,
      "holds a finished pack of another source; give --overwrite to replace it, or another name")
  }
}
