internal import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif

/// The directory that a conversion writes, from journal to manifest.
struct PackTarget {
  let path: String
  /// The directories of the layers' files where the pack is striped.
  var volumes: [String] = []

  init(path: String) { self.path = path }

  private var manifestPath: String { path + "/" + PackManifest.fileName }
  private var journalPath: String { path + "/" + PackJournal.fileName }

  /// What ``prepare(_:willWrite:)`` found.
  enum Prepared {
    /// An empty directory, but for the journal that says that a conversion has begun.
    case empty
    /// What an interrupted conversion left and claims to have done.
    case unfinished(ConversionJournal)
    /// A finished pack, whose journal, if there is one, is yet to be removed.
    case finished(ConversionJournal?)
  }

  /// Makes the directory ready: created, emptied of an older pack, or as an interrupted conversion left
  /// it, as `existing` asks.
  ///
  /// `willWrite` is called before anything is changed, with the bytes that will be used or removed; it
  /// throws where there is no room.
  /// - Returns: The lock that keeps other conversions out; hold it until the pack is complete.
  func prepare(
    _ existing: ConversionOptions.Existing, willWrite: (_ present: UInt64) throws -> Void
  ) throws -> (lock: DirectoryLock, found: Prepared) {
    let manager = FileManager.default
    if manager.fileExists(atPath: path) {
      guard (try? manager.contentsOfDirectory(atPath: path)) != nil else {
        throw FileIOError(
          .alreadyExists, path: path,
          message: "is not a readable directory; expected a pack or the name of a new directory")
      }
    } else {
      try willWrite(0)
      try Directory.create(path)
    }
    let lock = try DirectoryLock(path)
    try takeOver(existing)
    let names = try names("")
    let hasManifest = names.contains(PackManifest.fileName)
    if existing == .resume {
      let journal = try ConversionJournal.read(in: path)
      // A manifest beside a journal without claims is that of a pack that was to be replaced.
      if hasManifest, journal != nil || !names.contains(PackJournal.fileName) {
        return (lock, .finished(journal))
      }
      if !hasManifest, let journal {
        try willWrite(try presentBytes(names))
        return (lock, .unfinished(journal))
      }
    }
    try willWrite(try presentBytes(names))
    let oldVolumes = ConversionVolumes.present(of: path)
    // What is there may be a link to a file elsewhere.
    if names.contains(PackJournal.fileName + ".partial") {
      try Directory.removeFile(journalPath + ".partial")
    }
    try ConversionJournal.writeMarker(in: path)
    // The old manifest goes first: from here on the directory is unfinished until the new one stands.
    if manager.fileExists(atPath: manifestPath) { try Directory.removeFile(manifestPath) }
    try AtomicFile.synchronizeDirectory(path)
    for volume in oldVolumes { try ConversionVolumes.remove(volume) }
    for name in try self.names("") where isOurs(name) {
      guard name == Self.headers else {
        try Directory.removeFile(path + "/" + name)
        continue
      }
      for archive in try self.names("/" + name) {
        try Directory.removeFile("\(path)/\(name)/\(archive)")
      }
      try Directory.removeEmpty(path + "/" + name)
    }
    try removeSums()
    try Directory.create(path + "/" + Self.headers)
    return (lock, .empty)
  }

  /// Removes the journal's files of sums.
  func removeSums() throws {
    for name in try names("") where name.hasPrefix(PackJournal.fileName + ".sums-") {
      try Directory.removeFile(path + "/" + name)
    }
  }

  /// Bytes that files of the pack take on the disk.
  private func presentBytes(_ names: [String]) throws -> UInt64 {
    names.filter { isOurs($0) || $0.hasPrefix(PackJournal.fileName) }.reduce(0) {
      $0 + FreeSpace.allocatedBytes(path + "/" + $1)
    }
  }

  private static let headers = "headers"

  /// The entries of a directory of the pack; none where there is no directory but a link to one.
  private func names(_ suffix: String) throws -> [String] {
    let directory = path + suffix
    if !suffix.isEmpty,
      (try? FileManager.default.destinationOfSymbolicLink(atPath: directory)) != nil
    {
      return []
    }
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: directory) else {
      throw FileIOError(
        .system, path: directory, message: "is not a readable directory, expected one")
    }
    return names
  }

  private func takeOver(_ existing: ConversionOptions.Existing) throws {
    let names = try names("")
    let holdsPack = names.contains(PackManifest.fileName)
    var strangers = names.filter { !isOurs($0) && !$0.hasPrefix(PackJournal.fileName) }
    if names.contains(Self.headers) {
      strangers += try self.names("/" + Self.headers)
        .filter { !$0.hasSuffix(".gguf.zst") }.map { Self.headers + "/" + $0 }
    }
    let known =
      names.contains(PackJournal.fileName) || (holdsPack && isPackManifest(names: names))
      // A conversion killed before its journal had its name.
      || names.allSatisfy { $0 == PackJournal.fileName + ".partial" }
    guard known, strangers.isEmpty else {
      let examples = (strangers.isEmpty ? names : strangers).sorted().prefix(3)
      throw FileIOError(
        .alreadyExists, path: path,
        message:
          "holds files that are no pack (\(examples.joined(separator: ", "))"
          + "); expected a new name or a pack")
    }
    if existing == .replace || existing == .restart,
      let journal = try? ConversionJournal.read(in: path), journal.consumes
    {
      throw FileIOError(
        .alreadyExists, path: path,
        message:
          "holds the only copy of what its source has given back; go on with --resume, or remove "
          + "the directory if that is not wanted any more")
    }
    if existing == .replace, holdsPack,
      File.hasAttribute(Self.onlyCopyAttribute, path: manifestPath)
    {
      throw FileIOError(
        .alreadyExists, path: path,
        message:
          "holds the only copy of a model whose source was given back (--consume); moepack export "
          + "writes the source again; remove the directory if the model is not wanted any more")
    }
    guard existing == .refuse || existing == .restart else { return }
    guard !holdsPack else {
      throw FileIOError(
        .alreadyExists, path: path,
        message: "holds a finished pack; give --overwrite to replace it, or another name")
    }
    guard existing == .restart || !names.contains(PackJournal.fileName) else {
      let what = try UnfinishedPack(directory: path).summary
      throw FileIOError(
        .alreadyExists, path: path,
        message: "holds an unfinished pack: \(what); go on with --resume, or start again with "
          + "--overwrite")
    }
  }

  /// Whether the `manifest.json` among `names` is a pack's: other programs use the name too. A
  /// damaged one is known by its neighbours.
  private func isPackManifest(names: [String]) -> Bool {
    names.contains(ChecksumTable.fileName) || (try? PackManifest.load(directory: path)) != nil
  }

  /// Whether `name` is a file that a pack of this version may have.
  private func isOurs(_ name: String) -> Bool {
    let base = name.hasSuffix(".partial") ? String(name.dropLast(".partial".count)) : name
    let fixed = [
      PackManifest.fileName, PackDirectory.residentFileName, ChecksumTable.fileName, Self.headers,
      PackVolumes.listName,
    ]
    return fixed.contains(base) || (base.hasPrefix("layer-") && base.hasSuffix(".experts"))
  }

  /// Where the file of `unit` lies.
  func place(_ unit: PackUnit) -> RecordPlace {
    guard case .layer(let layer) = unit.content, !volumes.isEmpty else {
      return RecordPlace(path + "/" + unit.name)
    }
    return RecordPlace(
      paths: volumes.map { $0 + "/" + unit.name }, quarterBytes: layer.geometry.readBytes)
  }

  /// Writes a small file of the pack and flushes it.
  func write(_ bytes: [UInt8], name: String) throws -> PackManifest.PackedFile {
    let file = try File.creatingAlone(path + "/" + name)
    let digest = try bytes.withUnsafeBytes { buffer in
      try file.write(buffer, at: 0)
      return XXH3.hash128(buffer)
    }
    try file.synchronize()
    return .init(name: name, bytes: UInt64(bytes.count), digest: digest)
  }

  /// Makes the pack valid: every entry flushed, then the manifest renamed into place.
  func commit(manifest: String) throws {
    try AtomicFile.synchronizeDirectory(path + "/headers")
    try AtomicFile.synchronizeDirectory(path)
    try AtomicFile.write(Array(manifest.utf8), to: manifestPath)
    try AtomicFile.synchronizeDirectory(URL(filePath: path).deletingLastPathComponent().path)
  }

  /// Extended attribute of the manifest of a pack whose source is no more.
  ///
  /// No file, so that the pack is the same as one whose source was left; a copy of the pack may lose it.
  private static let onlyCopyAttribute = "user.moepack.source-given-back"

  /// Notes, where the file system can, that the source is given back, so that nothing replaces the pack
  /// without being told to twice.
  func markAsOnlyCopy() throws {
    let manifest = try File.updating(manifestPath)
    if manifest.setAttribute(Self.onlyCopyAttribute) { try manifest.synchronize() }
  }

  /// Removes the journal: nothing is left to do.
  func finish() throws {
    try removeSums()
    let left = try names("")
    for suffix in [".partial", ""] where left.contains(PackJournal.fileName + suffix) {
      try Directory.removeFile(journalPath + suffix)
    }
  }

  func lastComponent(of file: String) -> String { URL(filePath: file).lastPathComponent }

  /// How an in-place pack records a source: relative when it lies in the directory that holds the
  /// pack, so that both can move together, else absolute.
  func recordedPath(of file: String) throws -> String {
    let source = URL(filePath: file).resolvingSymlinksInPath()
    let parent = URL(filePath: path).resolvingSymlinksInPath().deletingLastPathComponent()
    return source.deletingLastPathComponent().path == parent.path
      ? "../" + source.lastPathComponent : source.path
  }
}
