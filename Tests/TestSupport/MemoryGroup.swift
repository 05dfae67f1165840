public import Foundation

/// A control group that limits memory, page cache included, for processes that are started in it.
public final class MemoryGroup: Sendable {
  /// Why there is none, in words.
  public struct Unavailable: Error, CustomStringConvertible {
    /// The reason.
    public let description: String
  }

  private let path: String
  private let names: (limit: String, usage: String, peak: String)

  /// Makes a group of `limit` bytes below the one that this process is in.
  /// - Throws: ``Unavailable`` where this process may not make groups, or the system has none.
  public init(limit: Int) throws {
    let lines = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
    var parent: String?
    var names = (limit: "memory.max", usage: "memory.current", peak: "memory.peak")
    for line in lines.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      if parts[1].split(separator: ",").contains("memory") {
        parent = "/sys/fs/cgroup/memory" + parts[2]
        names = (
          "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes"
        )
        break
      }
      if parts[1].isEmpty { parent = "/sys/fs/cgroup" + parts[2] }
    }
    guard let parent else { throw Unavailable(description: "this system has no control groups") }
    path = parent + "/moepack-test-\(UUID().uuidString)"
    self.names = names
    guard mkdir(path, 0o755) == 0 else {
      throw Unavailable(description: "cannot make \(path): \(String(cString: strerror(errno)))")
    }
    do {
      try setLimit(limit)
    } catch {
      rmdir(path)
      throw Unavailable(description: "\(path) takes no memory limit")
    }
  }

  deinit { rmdir(path) }

  /// Prints why no group can be made here, for a test that is skipped; nil when one can.
  public static let reasonForNone: String? = {
    do {
      _ = try MemoryGroup(limit: 1 << 30)
      return nil
    } catch {
      print("memory groups: tests skipped, \(error)")
      return "\(error)"
    }
  }()

  /// Changes the limit, under the processes that run.
  public func setLimit(_ bytes: Int) throws {
    try Data("\(bytes)".utf8).write(to: URL(filePath: path + "/" + names.limit))
  }

  /// Bytes charged now.
  public var usage: Int { number(names.usage) }
  /// Most bytes that were charged at once.
  public var peak: Int { number(names.peak) }
  /// Processes of the group that the kernel killed for memory.
  public var killCount: Int {
    for name in ["memory.oom_control", "memory.events"] {
      let text = (try? String(contentsOfFile: path + "/" + name, encoding: .utf8)) ?? ""
      for line in text.split(separator: "\n") where line.hasPrefix("oom_kill ") {
        return Int(line.dropFirst(9)) ?? 0
      }
    }
    return 0
  }

  /// A process of `tool` with `arguments` that runs in the group, not started.
  public func process(_ tool: Binary, _ arguments: [String]) -> Process {
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments =
      ["-c", "echo $$ > \"$0\" && exec \"$@\"", path + "/cgroup.procs", tool.path] + arguments
    return process
  }

  private func number(_ name: String) -> Int {
    let text = (try? String(contentsOfFile: path + "/" + name, encoding: .utf8)) ?? ""
    return Int(text.filter(\.isNumber)) ?? 0
  }
}
