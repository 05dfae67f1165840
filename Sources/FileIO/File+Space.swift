internal import CPlatform
internal import SystemPackage

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

extension File {
  /// Reserves the blocks of `range`, and makes the file at least that long, where the file system can.
  ///
  /// Writes into reserved blocks run side by side, which those that allocate do not (ext4).
  public func reserve(_ range: Range<UInt64>) throws(FileIOError) {
    guard cp_reserve(descriptorNumber, range.lowerBound, UInt64(range.count)) != 0 else { return }
    let failure = Errno.current
    if failure == .noSpace || failure == .diskQuotaExceeded {
      throw FileIOError(failure, path: path, operation: "reserve \(range.count) bytes")
    }
  }

  /// Gives the blocks of `range` back to the file system: the range reads as zeros, the length stays.
  public func punch(_ range: Range<UInt64>) throws(FileIOError) {
    guard !range.isEmpty else { return }
    guard cp_punch_hole(descriptorNumber, range.lowerBound, UInt64(range.count)) == 0 else {
      throw FileIOError(Errno.current, path: path, operation: "punch a hole")
    }
  }

  /// Whether ``punch(_:)`` works on this file, found out behind its end, where nothing changes.
  public func canPunch() throws(FileIOError) -> Bool {
    let page: UInt64 = 1 << 16
    let end = (try size() + page - 1) / page * page
    return cp_punch_hole(descriptorNumber, end, page) == 0
  }

  /// Names that the file has in directories; 0 when the system does not say.
  public var linkCount: UInt64 { cp_link_count(descriptorNumber) }

  /// Gives the file the extended attribute `name`, where the file system keeps such.
  /// - Returns: Whether it does.
  public func setAttribute(_ name: String) -> Bool {
    cp_set_attribute(descriptorNumber, name) == 0
  }

  /// Whether the file at `path` has the extended attribute `name`.
  public static func hasAttribute(_ name: String, path: String) -> Bool {
    cp_has_attribute(path, name)
  }

  /// When the content was last modified, in nanoseconds since 1970; anybody can set it.
  public var modified: Int64 { cp_modified(descriptorNumber) }

  /// Has the content count as last modified then.
  public func setModified(_ nanoseconds: Int64) throws(FileIOError) {
    guard cp_set_modified(descriptorNumber, nanoseconds) == 0 else {
      throw FileIOError(Errno.current, path: path, operation: "set the time of modification")
    }
  }

  /// Keeps those out who want the file alone, as ``lockAlone()`` does, until the file is closed; false
  /// when somebody has it.
  public func lockShared() -> Bool { cp_lock_shared(descriptorNumber) }

  /// Keeps all out who ask for a lock, until the file is closed; false when somebody has one.
  public func lockAlone() -> Bool { cp_lock(descriptorNumber) }
}

/// Room on the file system that a path lies on.
public struct FreeSpace: Sendable {
  /// Bytes that this user may still write.
  public let bytes: UInt64
  /// Files take whole blocks of so many bytes.
  public let blockBytes: UInt64

  /// Asks the file system of `path`, which exists.
  public init(at path: String) throws(FileIOError) {
    var (free, block): (UInt64, UInt64) = (0, 0)
    guard cp_free_space(path, &free, &block) == 0 else {
      throw FileIOError(Errno.current, path: path, operation: "find the free space")
    }
    (bytes, blockBytes) = (free, block)
  }

  /// Bytes that the file at `path` takes on its disk; 0 when there is none.
  public static func allocatedBytes(_ path: String) -> UInt64 { cp_allocated_bytes(path) }
}
