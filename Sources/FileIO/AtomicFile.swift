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
  public static func write(
    _ bytes: UnsafeRawBufferPointer, to path: String
  ) throws(FileIOError) {
    let temporary = path + ".partial"
    let file = try File.creating(temporary)
    try file.write(bytes, at: 0)
    try file.synchronize()
    guard rename(temporary, path) == 0 else {
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

extension Errno {
  static var current: Errno { Errno(rawValue: errno) }
}
