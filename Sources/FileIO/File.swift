internal import CPlatform
internal import SystemPackage

/// An open regular file, read and written at absolute offsets.
///
/// Reads and writes carry no shared position, so one `File` may be used from any number of threads.
/// Interrupted and short system calls are continued. The descriptor closes with the last reference.
public final class File: Sendable {
  /// The path the file was opened by, for messages.
  public let path: String
  /// Whether reads and writes bypass the page cache; memory address, offset and length must then be
  /// multiples of ``directAlignment``.
  public let isDirect: Bool
  /// Alignment of direct reads and writes in bytes; 1 for buffered files.
  public let directAlignment: Int
  private let descriptor: FileDescriptor

  private init(path: String, descriptor: FileDescriptor, isDirect: Bool) {
    self.path = path
    self.descriptor = descriptor
    self.isDirect = isDirect
    self.directAlignment = isDirect ? cp_direct_alignment(descriptor.rawValue) : 1
  }

  deinit { try? descriptor.close() }

  /// The descriptor, for system calls that nothing here wraps. It stays this file's to close.
  package var descriptorNumber: Int32 { descriptor.rawValue }

  /// A value that changes whenever somebody writes to the file or changes its length, even one who
  /// sets the time of modification back; a new name or owner changes it too.
  public var contentStamp: UInt64 { cp_content_stamp(descriptor.rawValue) }

  /// Opens an existing regular file for reading through the page cache.
  ///
  /// A directory, pipe or device is an error; opening never waits for one.
  public static func reading(_ path: String) throws(FileIOError) -> File {
    let file = File(
      path: path, descriptor: try open(path, .readOnly, .nonBlocking), isDirect: false)
    guard cp_is_regular_file(file.descriptor.rawValue) else {
      throw FileIOError(.system, path: path, message: "is not a regular file, expected one")
    }
    return file
  }

  /// Opens `path` for reading through the page cache, or returns nil when there is no such file.
  public static func readingIfPresent(_ path: String) throws(FileIOError) -> File? {
    do {
      return try reading(path)
    } catch {
      if error.code == .notFound { return nil }
      throw error
    }
  }

  /// Opens an existing file for reading past the page cache (`O_DIRECT`, `F_NOCACHE`), or through
  /// it where the file system has no direct reads (``isDirect`` tells).
  public static func readingDirect(_ path: String) throws(FileIOError) -> File {
    let descriptor = cp_open_direct(path)
    guard descriptor < 0 else {
      return File(path: path, descriptor: FileDescriptor(rawValue: descriptor), isDirect: true)
    }
    return try reading(path)
  }

  /// Creates `path`, or empties it, for writing and reading.
  public static func creating(_ path: String) throws(FileIOError) -> File {
    let descriptor = try open(path, .readWrite, [.create, .truncate])
    return File(path: path, descriptor: descriptor, isDirect: false)
  }

  /// Creates `path`, or empties it, for writing past the page cache, or through it where the file
  /// system has no direct writes of whole 4 KiB pages (``isDirect`` tells).
  ///
  /// For files of many gigabytes: through the page cache a cloud disk took 280 MB/s instead of 950
  /// (Linux, ext4), most of the time waiting for dirty pages, which push out what others need.
  public static func creatingDirect(_ path: String) throws(FileIOError) -> File {
    let descriptor = try open(path, .readWrite, [.create, .truncate])
    return File(path: path, descriptor: descriptor, isDirect: makeDirect(descriptor))
  }

  private static func makeDirect(_ descriptor: FileDescriptor) -> Bool {
    cp_direct_alignment(descriptor.rawValue) <= 4096 && cp_make_direct(descriptor.rawValue)
  }

  /// Opens an existing file for writing and reading, as it is.
  public static func updating(_ path: String) throws(FileIOError) -> File {
    File(path: path, descriptor: try open(path, .readWrite, []), isDirect: false)
  }

  /// Opens what an interrupted run left at `path` to write on, its content as it is; created when it is
  /// not there, and never through a symbolic link. With `direct` as by ``creatingDirect(_:)``.
  public static func continuing(
    _ path: String, direct: Bool = false
  ) throws(FileIOError) -> File {
    let descriptor = try open(path, .readWrite, [.create, .noFollow])
    let file = File(path: path, descriptor: descriptor, isDirect: direct && makeDirect(descriptor))
    guard cp_is_regular_file(descriptor.rawValue) else {
      throw FileIOError(.system, path: path, message: "is not a regular file, expected one")
    }
    return file
  }

  /// Creates `path`, or empties what is there, for this process alone.
  ///
  /// While another process writes the file in this way it is left as it is, with an `.inUse` error.
  /// A symbolic link is replaced, never followed. With `direct` it is written past the page cache
  /// as by ``creatingDirect(_:)``.
  public static func creatingAlone(
    _ path: String, direct: Bool = false
  ) throws(FileIOError) -> File {
    while true {
      let descriptor: FileDescriptor
      do {
        descriptor = try open(path, .readWrite, [.create, .noFollow])
      } catch {
        guard Directory.isSymbolicLink(path) else { throw error }
        try Directory.removeFile(path)
        continue
      }
      let file = File(
        path: path, descriptor: descriptor, isDirect: direct && makeDirect(descriptor))
      guard cp_lock(descriptor.rawValue) else { throw FileIOError.inUse(path) }
      // Whoever held the lock may have renamed the file that was opened: it has another name now.
      guard cp_is_file_at(descriptor.rawValue, path) else { continue }
      try file.resize(to: 0)
      return file
    }
  }

  private static func open(
    _ path: String, _ mode: FileDescriptor.AccessMode, _ options: FileDescriptor.OpenOptions
  ) throws(FileIOError) -> FileDescriptor {
    do {
      return try FileDescriptor.open(
        FilePath(path), mode, options: options.union(.closeOnExec),
        permissions: [.ownerReadWrite, .groupRead, .otherRead])
    } catch let error as Errno {
      throw FileIOError(error, path: path, operation: "open")
    } catch {
      throw FileIOError(.system, path: path, message: "cannot open: \(error)")
    }
  }

  /// Length of the file in bytes.
  public func size() throws(FileIOError) -> UInt64 {
    try perform("find the length") { UInt64(try descriptor.seek(offset: 0, from: .end)) }
  }

  /// Reads at `offset` until `buffer` is full or the file ends.
  /// - Returns: The bytes read; fewer than `buffer.count` only at the end of the file.
  public func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(FileIOError) -> Int {
    var done = 0
    while done < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      let count = try perform("read \(rest.count) bytes at \(offset + UInt64(done))") {
        try descriptor.read(fromAbsoluteOffset: Int64(offset) + Int64(done), into: rest)
      }
      if count == 0 { break }
      done += count
      // A direct read that stops short has met the end of the file; another would be misaligned.
      if isDirect && done % directAlignment != 0 { break }
    }
    return done
  }

  /// Reads exactly `buffer.count` bytes at `offset`; a shorter file is an `.endOfFile` error.
  public func readExactly(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(FileIOError) {
    let count = try read(into: buffer, at: offset)
    guard count == buffer.count else {
      throw FileIOError(
        .endOfFile, path: path,
        message: "ends at byte \(offset + UInt64(count)), expected \(buffer.count) bytes at "
          + "\(offset); the file is cut short")
    }
  }

  /// The `count` bytes at `offset`, as an array.
  public func bytes(at offset: UInt64, count: Int) throws(FileIOError) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: count)
    try perform("read \(count) bytes at \(offset)") {
      try result.withUnsafeMutableBytes { try readExactly(into: $0, at: offset) }
    }
    return result
  }

  /// Everything that can be read from `path`, a file or a pipe, front to back.
  ///
  /// More than `limit` bytes are an error.
  public static func contents(_ path: String, atMost limit: Int) throws(FileIOError) -> [UInt8] {
    let file = File(path: path, descriptor: try open(path, .readOnly, []), isDirect: false)
    var result: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = try file.perform("read") {
        try piece.withUnsafeMutableBytes { try file.descriptor.read(into: $0) }
      }
      if count == 0 { return result }
      result.append(contentsOf: piece[..<count])
      guard result.count <= limit else {
        throw FileIOError(
          .tooLong, path: path, message: "expected at most \(limit) bytes, found more")
      }
    }
  }

  /// Writes all of `bytes` at `offset`.
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileIOError) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      done += try perform("write \(rest.count) bytes at \(offset + UInt64(done))") {
        try descriptor.write(toAbsoluteOffset: Int64(offset) + Int64(done), rest)
      }
    }
  }

  /// Sets the length to `size` bytes; new bytes read as zero.
  public func resize(to size: UInt64) throws(FileIOError) {
    try perform("resize to \(size) bytes") { try descriptor.resize(to: Int64(size)) }
  }

  /// Flushes content and length to stable storage (`fsync`).
  public func synchronize() throws(FileIOError) {
    guard cp_full_sync(descriptor.rawValue) == 0 else {
      throw FileIOError(Errno.current, path: path, operation: "sync")
    }
  }

  private func perform<R>(
    _ operation: @autoclosure () -> String, _ body: () throws -> R
  ) throws(FileIOError) -> R {
    do {
      return try body()
    } catch let error as Errno {
      throw FileIOError(error, path: path, operation: operation())
    } catch let error as FileIOError {
      throw error
    } catch {
      throw FileIOError(.system, path: path, message: "cannot \(operation()): \(error)")
    }
  }
}
