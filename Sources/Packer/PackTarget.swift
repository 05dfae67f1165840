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

  private var manifestPath: String { path + "/" + PackManifest.fileName }
  private var journalPath: String { path + "/" + PackJournal.fileName }

  /// Makes the directory ready: created, or emptied of an older pack.
  /// - Returns: The lock that keeps other conversions out; hold it until the pack is complete.
  func prepare(overwrite: Bool) throws -> DirectoryLock {
    let manager = FileManager.default
    if manager.fileExists(atPath: path) {
      guard (try? manager.contentsOfDirectory(atPath: path)) != nil else {
        throw FileIOError(
          .alreadyExists, path: path,
          message: "is not a readable directory; expected a pack or the name of a new directory")
      }
    } else {
      try Directory.create(path)
    }
    let lock = try DirectoryLock(path)
    try takeOver(overwrite: overwrite)
    // What is there may be a link to a file elsewhere.
    if try names("").contains(PackJournal.fileName + ".partial") {
      try Directory.removeFile(journalPath + ".partial")
    }
    try AtomicFile.write(Array("moepack conversion in progress\n".utf8), to: journalPath)
    // The old manifest goes first: from here on the directory is unfinished until the new one stands.
    if manager.fileExists(atPath: manifestPath) { try Directory.removeFile(manifestPath) }
    try AtomicFile.synchronizeDirectory(path)
    for name in try names("") where isOurs(name) {
      guard name == Self.headers else {
        try Directory.removeFile(path + "/" + name)
        continue
      }
      for archive in try names("/" + name) {
        try Directory.removeFile("\(path)/\(name)/\(archive)")
      }
      try Directory.removeEmpty(path + "/" + name)
    }
    try Directory.create(path + "/" + Self.headers)
    return lock
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

  private func takeOver(overwrite: Bool) throws {
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
    guard overwrite || !holdsPack else {
      throw FileIOError(
        .alreadyExists, path: path,
        message: "holds a finished pack; give --overwrite to replace it, or another name")
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
    ]
    return fixed.contains(base) || (base.hasPrefix("layer-") && base.hasSuffix(".experts"))
  }

  /// A new file `name` of the pack.
  func create(_ name: String) throws -> File { try File.creating(path + "/" + name) }

  /// A new file `name` of the pack for whole pages of weights, written past the page cache where
  /// that is possible.
  func createDirect(_ name: String) throws -> File { try File.creatingDirect(path + "/" + name) }

  /// Writes a small file of the pack and flushes it.
  func write(_ bytes: [UInt8], name: String) throws -> PackManifest.PackedFile {
    let file = try create(name)
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
    try Directory.removeFile(journalPath)
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
