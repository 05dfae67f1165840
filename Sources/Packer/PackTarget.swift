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
  func prepare(overwrite: Bool) throws {
    let manager = FileManager.default
    if manager.fileExists(atPath: path) {
      guard let names = try? manager.contentsOfDirectory(atPath: path) else {
        throw FileIOError(
          .alreadyExists, path: path,
          message: "is not a readable directory; expected a pack or the name of a new directory")
      }
      try takeOver(names: names, overwrite: overwrite)
    }
    try createDirectory("")
    try AtomicFile.write(Array("moepack conversion in progress\n".utf8), to: journalPath)
    // The old manifest goes first: from here on the directory is unfinished until the new one stands.
    if manager.fileExists(atPath: manifestPath) { try remove(PackManifest.fileName) }
    try AtomicFile.synchronizeDirectory(path)
    for name in try manager.contentsOfDirectory(atPath: path) where isOurs(name) {
      try remove(name)
    }
    try createDirectory("/headers")
  }

  private func takeOver(names: [String], overwrite: Bool) throws {
    if names.contains(PackManifest.fileName) {
      guard overwrite else {
        throw FileIOError(
          .alreadyExists, path: path,
          message: "holds a finished pack; give --overwrite to replace it, or another name")
      }
    }
    let known =
      names.contains(PackJournal.fileName) || names.contains(PackManifest.fileName)
      // A conversion killed before its journal had its name.
      || names.allSatisfy { $0 == PackJournal.fileName + ".partial" }
    let strangers = names.filter { !isOurs($0) && !$0.hasPrefix(PackJournal.fileName) }
    guard known, strangers.isEmpty else {
      throw FileIOError(
        .alreadyExists, path: path,
        message:
          "holds files that are no pack (\(strangers.sorted().prefix(3).joined(separator: ", "))"
          + "); expected a new name or a pack")
    }
  }

  /// Whether `name` is a file that a pack of this version may have.
  private func isOurs(_ name: String) -> Bool {
    let base = name.hasSuffix(".partial") ? String(name.dropLast(".partial".count)) : name
    let fixed = [
      PackManifest.fileName, PackDirectory.residentFileName, ChecksumTable.fileName, "headers",
    ]
    return fixed.contains(base) || (base.hasPrefix("layer-") && base.hasSuffix(".experts"))
  }

  private func remove(_ name: String) throws {
    do {
      try FileManager.default.removeItem(atPath: path + "/" + name)
    } catch {
      throw FileIOError(
        .system, path: path + "/" + name, message: "cannot remove: \(error)")
    }
  }

  private func createDirectory(_ suffix: String) throws {
    do {
      try FileManager.default.createDirectory(
        atPath: path + suffix, withIntermediateDirectories: true)
    } catch {
      throw FileIOError(
        .system, path: path + suffix,
        message: "cannot create the directory: \(error)")
    }
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
    try remove(PackJournal.fileName)
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
