internal import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif

/// The volumes of a striped pack while it is made.
struct ConversionVolumes {
  /// Where the volumes are.
  let directories: [String]
  /// Keep other conversions out of them; hold until the pack is complete.
  let locks: [DirectoryLock]

  /// No volumes: the pack is not striped.
  static let none = ConversionVolumes(directories: [], locks: [])

  private static let suffix = ".volume-"

  /// The directories that a pack at `pack` gets below those at `parents`; throws where one of these is not
  /// there, for it may be the place of a disk that is not mounted.
  static func planned(below parents: [String], pack: String) throws -> [String] {
    let name = URL(filePath: pack).standardizedFileURL.lastPathComponent
    var known: [String: String] = [:]
    return try parents.enumerated().map { index, parent in
      guard Directory.exists(parent) else {
        throw FileIOError(
          .notFound, path: parent,
          message:
            "no such directory; the slices of a striped pack go below directories that are there"
        )
      }
      let folder = URL(filePath: parent).standardizedFileURL.resolvingSymlinksInPath().path
      if let first = known.updateValue(parent, forKey: folder) {
        throw FileIOError(
          .alreadyExists, path: parent,
          message: "is the same directory as \(first); a pack is striped over different ones")
      }
      return folder + "/" + name + suffix + "\(index + 1)"
    }
  }

  /// Makes the volumes at `directories` for a pack at `pack` with these ids, and the pack's list of them.
  ///
  /// What is there already must be empty, or a volume with the same id.
  static func create(
    _ directories: [String], ids: [String], pack: String
  ) throws -> ConversionVolumes {
    var locks: [DirectoryLock] = []
    for (volume, directory) in directories.enumerated() {
      try Directory.create(directory)
      locks.append(try DirectoryLock(directory))
      let names = try FileManager.default.contentsOfDirectory(atPath: directory)
      let isSame =
        (try? PackVolumes.check(directory, volume: volume, ids: ids, pack: pack)) != nil
      // The label of a run that was killed before it had its name.
      let isEmpty = names.allSatisfy { $0 == PackVolumes.idName + ".partial" }
      guard isSame ? names.allSatisfy(isOurs) : isEmpty else {
        throw FileIOError(
          .alreadyExists, path: directory,
          message:
            "holds files that are not of this pack (\(names.sorted().prefix(3).joined(separator: ", ")))"
            + "; remove it or name another directory")
      }
      for name in names where name != PackVolumes.idName {
        try Directory.removeFile(directory + "/" + name)
      }
      try AtomicFile.write(
        Array(PackVolumes.label(volume, ids: ids).utf8), to: directory + "/" + PackVolumes.idName)
      try AtomicFile.synchronizeDirectory(URL(filePath: directory).deletingLastPathComponent().path)
    }
    try AtomicFile.write(
      Array(PackVolumes(paths: directories).text.utf8), to: pack + "/" + PackVolumes.listName)
    return ConversionVolumes(directories: directories, locks: locks)
  }

  /// The volumes of an unfinished pack at `pack`, which have these ids; `planned` are those that were
  /// asked for now, none for any.
  static func reopen(
    _ journal: ConversionJournal, planned: [String], pack: String
  ) throws -> ConversionVolumes {
    guard let list = try PackVolumes.load(directory: pack) else {
      guard planned.isEmpty else {
        throw PackError(
          .wrongSource, path: pack,
          "was begun without --stripe; go on without it, or start again with --overwrite")
      }
      return .none
    }
    let directories = list.directories(of: pack)
    guard planned.isEmpty || planned.count == directories.count else {
      throw PackError(
        .wrongSource, path: pack,
        "was begun with \(directories.count) volumes, not \(planned.count); go on without --stripe, or "
          + "start again with --overwrite")
    }
    let ids = ids(of: journal, count: directories.count)
    let locks = try directories.enumerated().map { volume, directory in
      try PackVolumes.check(directory, volume: volume, ids: ids, pack: pack)
      return try DirectoryLock(directory)
    }
    return ConversionVolumes(directories: directories, locks: locks)
  }

  /// The ids of volumes of the pack that `journal` is about.
  static func ids(of journal: ConversionJournal, count: Int) -> [String] {
    PackVolumes.ids(
      count: count, sources: journal.shards.map { ($0.name, $0.bytes, $0.archive.xxh3_128) })
  }

  /// The volumes of the pack or unfinished pack at `pack`: those that say that they are, for the list may
  /// be wrong.
  static func present(of pack: String) -> [String] {
    guard let list = try? PackVolumes.load(directory: pack) else { return [] }
    let directories = list.directories(of: pack)
    var ids = (try? PackManifest.load(directory: pack))?.volumes ?? []
    if ids.isEmpty, let journal = try? ConversionJournal.read(in: pack) {
      ids = Self.ids(of: journal, count: directories.count)
    }
    guard ids.count == directories.count else { return [] }
    return directories.enumerated().filter { volume, directory in
      (try? PackVolumes.check(directory, volume: volume, ids: ids, pack: pack)) != nil
    }.map(\.element)
  }

  /// Removes the files of a volume, and its directory when nothing else is in it.
  static func remove(_ directory: String) throws {
    let lock = try DirectoryLock(directory)
    defer { withExtendedLifetime(lock) {} }
    let names = try FileManager.default.contentsOfDirectory(atPath: directory).filter(isOurs)
    // The label last: until then the rest is known to be the volume's.
    for name in names.filter({ $0 != PackVolumes.idName }) + [PackVolumes.idName] {
      try Directory.removeFile(directory + "/" + name)
    }
    try? Directory.removeEmpty(directory)
  }

  private static func isOurs(_ name: String) -> Bool {
    name == PackVolumes.idName || name == PackVolumes.idName + ".partial"
      || (name.hasPrefix("layer-") && name.hasSuffix(".experts"))
  }
}
