internal import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
public import GGUF

/// What an interrupted conversion left in a directory.
public struct UnfinishedPack: Sendable {
  private let directory: String
  private let journal: ConversionJournal?

  /// Reads what `directory` holds; throws when its journal is damaged.
  init(directory: String) throws {
    self.directory = directory
    journal = try ConversionJournal.read(in: directory)
  }

  /// The unfinished pack in `directory`; nil when there is none, or a finished one.
  public static func find(in directory: String) throws -> UnfinishedPack? {
    guard PackJournal.exists(in: directory),
      !FileManager.default.fileExists(atPath: directory + "/" + PackManifest.fileName)
    else { return nil }
    return try UnfinishedPack(directory: directory)
  }

  /// Whether its source has begun to be given back, so that no program can open that as a model.
  public var consumesSource: Bool { journal?.consumes ?? false }

  /// What is there, in a few words.
  public var summary: String {
    guard let journal else { return "nothing of it is finished" }
    let layers = journal.units.filter { $0.name != PackDirectory.residentFileName }
    var parts: [String] = []
    if journal.units.count > layers.count { parts.append("resident weights") }
    let complete = layers.count { $0.digest != nil || journal.kind != PackKind.packed.rawValue }
    if complete > 0 { parts.append(complete == 1 ? "1 layer" : "\(complete) layers") }
    if let open = layers.first(where: { $0.digest == nil }),
      journal.kind == PackKind.packed.rawValue
    {
      parts.append("\(open.items) experts of another")
    }
    let text =
      parts.isEmpty ? "nothing of it is finished" : parts.joined(separator: " and ") + " done"
    return text + (journal.consumes ? ", the source partly given back" : "") + volumes(journal)
  }

  /// What is to say about the volumes of a striped pack.
  private func volumes(_ journal: ConversionJournal) -> String {
    guard let list = try? PackVolumes.load(directory: directory) else { return "" }
    let directories = list.directories(of: directory)
    let ids = ConversionVolumes.ids(of: journal, count: directories.count)
    let lost = directories.enumerated().filter { volume, path in
      (try? PackVolumes.check(path, volume: volume, ids: ids, pack: directory)) == nil
    }
    let text = directories.count == 1 ? ", in 1 volume" : ", in \(directories.count) volumes"
    return lost.reduce(text) { $0 + ", of which \($1.element) is not there" }
  }

  /// The source at `path`, from its file, or, when the conversion has given its header back, from the
  /// archives in the pack.
  public func source(_ path: String) throws -> GGUFFile {
    guard let journal, journal.consumes, !journal.shards.isEmpty else {
      return try GGUFFile.open(path)
    }
    let url = URL(filePath: path)
    guard journal.shards.contains(where: { $0.name == url.lastPathComponent }) else {
      throw PackError(
        .wrongSource, path: path,
        "the conversion was begun from \(journal.shards[0].name), which it is giving back")
    }
    let folder = url.deletingLastPathComponent().relativePath
    let shards = try journal.shards.enumerated().map { index, shard in
      guard PackManifest.isFileName(shard.name) else {
        throw PackError(
          .damaged, path: ConversionJournal.path(directory),
          "shard \(index + 1): expected a file name without directories, found "
            + "\"\(shard.name.prefix(64))\"; the journal is not one of this program")
      }
      let file = folder.isEmpty || !path.contains("/") ? shard.name : folder + "/" + shard.name
      let size = try File.reading(file).size()
      guard size == shard.bytes else {
        throw PackError(
          .wrongSource, path: file, "expected \(shard.bytes) bytes as before, found \(size)")
      }
      guard shard.headerBytes <= UInt64(PackLimits.archiveBytes),
        shard.archive.bytes <= UInt64(PackLimits.archiveBytes),
        shard.archive.name == HeaderArchive.fileName(shard: index)
      else {
        throw PackError(.damaged, path: directory, "the journal is not one of this program")
      }
      let frame = try PackDirectory.provenBytes(shard.archive, directory: directory)
      return try HeaderArchive.open(
        frame: frame, byteCount: Int(shard.headerBytes), path: file, fileSize: shard.bytes,
        shard: index
      ).0
    }
    return try GGUFFile(shards: shards)
  }
}
