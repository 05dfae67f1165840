internal import CPlatform
internal import SystemPackage

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Files that appear whole or not at all.
public enum AtomicFile {
  /// Writes `bytes` beside `path`, flushes them, renames over `path` and flushes the directory:
  /// after a crash `path` holds the old content or the new, never a mixture.
  public static func write(_ bytes: [UInt8], to path: String) throws {
    let temporary = path + ".partial"
    let file = try File.creatingAlone(temporary)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    try file.synchronize()
    try rename(temporary, to: path)
  }

  /// Renames `source`, which is flushed already, over `path` and flushes the directory.
  public static func rename(_ source: String, to path: String) throws(FileIOError) {
    guard systemRename(source, path) == 0 else {
      throw FileIOError(Errno.current, path: path, operation: "rename into place")
    }
    try synchronizeDirectory(FilePath(path).removingLastComponent().string)
  }

  /// Flushes the entries of directory `path`, so that files created or renamed in it survive.
  public static func synchronizeDirectory(_ path: String) throws(FileIOError) {
    let name = path.isEmpty ? "." : path
    let descriptor = open(name, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileIOError(Errno.current, path: name, operation: "open") }
    defer { close(descriptor) }
    guard cp_full_sync(descriptor) == 0 else {
      throw FileIOError(Errno.current, path: name, operation: "sync")
    }
  }
}

private func systemRename(_ source: String, _ target: String) -> Int32 { rename(source, target) }

extension Errno {
  static var current: Errno { Errno(rawValue: errno) }
}
