public import SystemPackage

/// What went wrong with a file, and where.
public struct FileIOError: Error, Sendable, CustomStringConvertible {
  /// What a caller may decide on; everything else is `.system`.
  public enum Code: Sendable {
    case notFound, permissionDenied, alreadyExists, inUse, noSpace, endOfFile, outOfMemory, tooLong
    case system
  }

  /// What a caller may decide on.
  public let code: Code
  /// The file's path as the user gave it, or what was asked for when there is no file.
  public let path: String
  /// What happened, in words, without the path.
  public let message: String

  /// An error that no system call reported.
  public init(_ code: Code, path: String, message: String) {
    self.code = code
    self.path = path
    self.message = message
  }

  static func inUse(_ path: String) -> FileIOError {
    FileIOError(
      .inUse, path: path,
      message: "is being written by another process; wait for it or give another name")
  }

  /// Translates `errno` of the system call behind `operation` ("read 4096 bytes at 0").
  public init(_ errno: Errno, path: String, operation: String) {
    self.path = path
    switch errno {
    case .noSuchFileOrDirectory:
      code = .notFound
      message = "no such file or directory (\(operation))"
    case .permissionDenied, .notPermitted:
      code = .permissionDenied
      message = "permission denied (\(operation))"
    case .fileExists:
      code = .alreadyExists
      message = "exists already (\(operation))"
    case .noSpace, .diskQuotaExceeded:
      code = .noSpace
      message = "no space left on the disk (\(operation)); free some space and run again"
    case .noMemory:
      code = .outOfMemory
      message = "out of memory (\(operation))"
    default:
      code = .system
      message = "cannot \(operation): \(errno)"
    }
  }

  /// Path and message.
  public var description: String { "\(path): \(message)" }
}
