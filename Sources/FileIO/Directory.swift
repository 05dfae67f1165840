internal import CPlatform
internal import SystemPackage

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Creates and empties directories.
public enum Directory {
  /// Creates the directory `path` and those it lies in; one that is there already is left as it is.
  public static func create(_ path: String) throws(FileIOError) {
    guard mkdir(path, 0o777) != 0 else { return }
    let failure = Errno.current
    switch failure {
    case .fileExists where exists(path): return
    case .noSuchFileOrDirectory:
      let parent = FilePath(path).removingLastComponent().string
      guard !parent.isEmpty, !exists(parent) else { break }
      try create(parent)
      guard mkdir(path, 0o777) != 0 else { return }
      let second = Errno.current
      if second == .fileExists && exists(path) { return }
      throw FileIOError(second, path: path, operation: "create the directory")
    default: break
    }
    throw FileIOError(failure, path: path, operation: "create the directory")
  }

  /// Whether `path` is a directory, or a symbolic link to one.
  public static func exists(_ path: String) -> Bool {
    var facts = stat()
    return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
  }

  /// A number of the file system that `path` lies on; 0 for a path that is not there.
  public static func device(_ path: String) -> UInt64 {
    var facts = stat()
    return stat(path, &facts) == 0 ? UInt64(truncatingIfNeeded: facts.st_dev) : 0
  }

  /// `path`, or the nearest directory above it that exists.
  public static func nearest(_ path: String) -> String {
    var candidate = FilePath(path)
    while !exists(candidate.string), !candidate.isEmpty {
      candidate = candidate.removingLastComponent()
    }
    return candidate.isEmpty ? "." : candidate.string
  }

  /// Whether `path` is a symbolic link, wherever it leads.
  public static func isSymbolicLink(_ path: String) -> Bool {
    var facts = stat()
    return lstat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFLNK
  }

  /// Removes the file or symbolic link `path`.
  public static func removeFile(_ path: String) throws(FileIOError) {
    guard unlink(path) == 0 else {
      throw FileIOError(Errno.current, path: path, operation: "remove")
    }
  }

  /// Removes the empty directory `path`, or a symbolic link in its place.
  public static func removeEmpty(_ path: String) throws(FileIOError) {
    if isSymbolicLink(path) { return try removeFile(path) }
    guard rmdir(path) == 0 else {
      throw FileIOError(Errno.current, path: path, operation: "remove")
    }
  }
}

/// The right to write in a directory, held until the lock is released with its last reference.
///
/// It keeps out only those who ask for it too, in this process or another, and ends with the process.
public final class DirectoryLock: Sendable {
  private let descriptor: FileDescriptor

  /// Locks the directory at `path`, without waiting: `.inUse` when another has it.
  public init(_ path: String) throws(FileIOError) {
    do {
      descriptor = try FileDescriptor.open(
        FilePath(path), .readOnly, options: [.directory, .closeOnExec])
    } catch let error as Errno {
      throw FileIOError(error, path: path, operation: "open")
    } catch {
      throw FileIOError(.system, path: path, message: "cannot open: \(error)")
    }
    guard cp_lock(descriptor.rawValue) else {
      try? descriptor.close()
      throw FileIOError.inUse(path)
    }
  }

  deinit { try? descriptor.close() }
}
