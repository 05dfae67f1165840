public import Foundation
internal import Synchronization

/// A directory of its own for one test, removed with the value.
public final class TemporaryDirectory: Sendable {
  /// Absolute path of the directory.
  public let path: String

  /// Creates the directory, empty.
  public init() throws {
    path =
      FileManager.default.temporaryDirectory.appending(
        path: "moepack-test-\(UUID().uuidString)"
      ).path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  /// A directory that several tests share: it goes when the test process ends.
  public static func untilExit() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    let isFirst = shared.withLock { paths in
      paths.append(directory.path)
      return paths.count == 1
    }
    if isFirst {
      atexit {
        for path in TemporaryDirectory.shared.withLock({ $0 }) {
          try? FileManager.default.removeItem(atPath: path)
        }
      }
    }
    return directory
  }

  private static let shared = Mutex<[String]>([])

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Path of `name` in the directory.
  public func file(_ name: String) -> String { path + "/" + name }
}

/// Content and changes of files, for tests that damage them.
public enum FileBytes {
  /// All bytes of the file at `path`.
  public static func read(_ path: String) throws -> Data {
    try Data(contentsOf: URL(filePath: path))
  }

  /// Inverts bit `bit` of the byte at `offset`.
  public static func flipBit(_ path: String, offset: Int, bit: Int) throws {
    let handle = try FileHandle(forUpdating: URL(filePath: path))
    defer { try? handle.close() }
    try handle.seek(toOffset: UInt64(offset))
    guard var byte = try handle.read(upToCount: 1)?.first else {
      throw CocoaError(.fileReadUnknown)
    }
    byte ^= 1 << bit
    try handle.seek(toOffset: UInt64(offset))
    try handle.write(contentsOf: Data([byte]))
  }

  /// Every regular file below `directory`, relative to it, sorted.
  public static func files(below directory: String) throws -> [String] {
    let names = try FileManager.default.subpathsOfDirectory(atPath: directory)
    return names.filter { name in
      var isDirectory: ObjCBool = false
      let exists = FileManager.default.fileExists(
        atPath: directory + "/" + name, isDirectory: &isDirectory)
      return exists && !isDirectory.boolValue
    }.sorted()
  }

  /// Length of the file at `path` in bytes.
  public static func size(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return (attributes[.size] as? NSNumber)?.intValue ?? 0
  }
}
