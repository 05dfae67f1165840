internal import Foundation

/// Something that happens to a file while somebody has it open.
public enum FileChange: CaseIterable, Sendable, CustomStringConvertible {
  /// Another file gets its name.
  case replaced
  /// An empty file gets its name.
  case replacedEmpty
  /// Its name goes.
  case deleted
  /// It is cut to a third.
  case truncated
  /// It is cut to nothing.
  case emptied
  /// Every byte becomes a random one.
  case rewritten
  /// Every byte becomes a random one, and the time of modification is set back.
  case rewrittenWithOldTime
  /// A page is added.
  case extended

  /// What happens, in words.
  public var description: String {
    switch self {
    case .replaced: "another file under its name"
    case .replacedEmpty: "an empty file under its name"
    case .deleted: "deleted"
    case .truncated: "cut to a third"
    case .emptied: "cut to nothing"
    case .rewritten: "random bytes"
    case .rewrittenWithOldTime: "random bytes, and the old time of modification"
    case .extended: "a page more"
    }
  }

  /// Whether the bytes that are open stay what they were.
  public var isHarmless: Bool {
    switch self {
    case .replaced, .replacedEmpty, .deleted, .extended: true
    case .truncated, .emptied, .rewritten, .rewrittenWithOldTime: false
    }
  }

  /// Does it to the file at `path`.
  public func apply(to path: String) throws {
    let size = try FileBytes.size(path)
    var random = RandomBytes(seed: UInt64(size))
    switch self {
    case .replaced:
      try Data(random.next(count: size)).write(to: URL(filePath: path), options: .atomic)
    case .replacedEmpty: try Data().write(to: URL(filePath: path), options: .atomic)
    case .deleted: try FileManager.default.removeItem(atPath: path)
    case .truncated: try resize(path, size / 3)
    case .emptied: try resize(path, 0)
    case .extended: try resize(path, size + 4096)
    case .rewritten: try overwrite(path, random.next(count: size))
    case .rewrittenWithOldTime:
      var facts = stat()
      guard stat(path, &facts) == 0 else { throw CocoaError(.fileReadUnknown) }
      try overwrite(path, random.next(count: size))
      // To the nanosecond, as the tools that copy times do; Foundation rounds them.
      #if canImport(Darwin)
        let times = [facts.st_atimespec, facts.st_mtimespec]
      #else
        let times = [facts.st_atim, facts.st_mtim]
      #endif
      guard utimensat(AT_FDCWD, path, times, 0) == 0 else {
        throw CocoaError(.fileWriteUnknown)
      }
    }
  }

  private func resize(_ path: String, _ size: Int) throws {
    guard truncate(path, off_t(size)) == 0 else { throw CocoaError(.fileWriteUnknown) }
  }

  private func overwrite(_ path: String, _ bytes: [UInt8]) throws {
    let handle = try FileHandle(forUpdating: URL(filePath: path))
    try handle.write(contentsOf: Data(bytes))
    try handle.close()
  }
}
