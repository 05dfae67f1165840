import FileIO
import GGUF
import GGUFTestSupport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Files of the repository's `fixtures` directory.
enum Fixtures {
  private static let directory: String = {
    let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
    return parts.joined(separator: "/") + "/fixtures/"
  }()

  static func path(_ name: String) -> String { directory + name }

  static func bytes(_ name: String) throws -> [UInt8] {
    let file = try File.reading(path(name))
    return try file.bytes(at: 0, count: Int(try file.size()))
  }

  static func text(_ name: String) throws -> String {
    String(decoding: try bytes(name), as: UTF8.self)
  }

  /// Names of the files in `name` that end in `suffix`, sorted.
  static func names(in name: String, suffix: String) throws -> [String] {
    guard let stream = opendir(path(name)) else {
      throw FileIOError(.notFound, path: path(name), message: "cannot list")
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(suffix) { names.append(name) }
    }
    return names.sorted()
  }
}

/// A directory that is removed with its files when the last reference goes.
final class TemporaryDirectory {
  let path: String
  private var files: [String] = []

  init() throws {
    var template = Array("/tmp/gguf-tests-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw FileIOError(.system, path: "/tmp", message: "cannot make a directory")
    }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    for file in files { unlink(file) }
    rmdir(path)
  }

  /// Creates `name` with `bytes`, as long as `size` says: the rest is a hole.
  @discardableResult
  func add(_ name: String, _ bytes: [UInt8], size: UInt64? = nil) throws -> String {
    let path = self.path + "/" + name
    files.append(path)
    let file = try File.creating(path)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    if let size { try file.resize(to: size) }
    return path
  }

  /// The path of a file that the test itself makes; removed like the others.
  func claim(_ name: String) -> String {
    files.append(path + "/" + name)
    return path + "/" + name
  }
}
