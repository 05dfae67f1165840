internal import CPlatform
internal import FileIO

/// How much memory this process may use.
public enum SystemMemory {
  /// Part of the usable memory that a budget takes unless the user says otherwise: the rest is for
  /// the system and for what else runs.
  private static let defaultShare = 0.8

  /// The budget when `--memory` is not given: 80 % of the least of what is free now, the physical
  /// memory and every control group's limit.
  public static var defaultBudget: UInt64 {
    var usable = cp_physical_memory_bytes()
    for limit in [available, controlGroupLimit].compactMap({ $0 }) { usable = min(usable, limit) }
    return UInt64(Double(usable) * defaultShare)
  }

  /// Largest resident set of this process so far, in bytes.
  public static var peak: UInt64 { cp_peak_resident_bytes() }

  /// Resident set of this process now, in bytes; its peak where the system does not say.
  public static var resident: UInt64 {
    for line in text("/proc/self/status").split(separator: "\n") where line.hasPrefix("VmRSS:") {
      // VmRSS:  12345 kB
      if let kibibytes = UInt64(line.filter { $0.isNumber && $0.isASCII }) {
        return kibibytes * 1024
      }
    }
    return peak
  }

  /// Cores that this process may run on: processors that share one count once, for they share its
  /// arithmetic units.
  public static var coreCount: Int { Int(cp_cores(nil, 0)) }

  /// What Linux can give out without swapping.
  private static var available: UInt64? {
    for line in text("/proc/meminfo").split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      return line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 * 1024 }
    }
    return nil
  }

  /// The tightest limit of the control groups that this process is in, versions 1 and 2, or nil.
  private static var controlGroupLimit: UInt64? {
    var limits: [UInt64] = []
    for line in text("/proc/self/cgroup").split(separator: "\n") {
      // hierarchy:controllers:path; version 2 has no controllers.
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let controllers = parts[1].split(separator: ",")
      let isVersion2 = parts[1].isEmpty
      guard isVersion2 || controllers.contains("memory") else { continue }
      let root = isVersion2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
      let file = isVersion2 ? "/memory.max" : "/memory.limit_in_bytes"
      // A limit on any ancestor holds too.
      var path = parts[2].split(separator: "/")[...]
      while true {
        let value = text(root + path.map { "/" + $0 }.joined() + file)
        if let limit = UInt64(value.filter { $0.isNumber && $0.isASCII }) { limits.append(limit) }
        if path.isEmpty { break }
        path.removeLast()
      }
    }
    return limits.min()
  }

  /// The content of a small file of the system, empty when it cannot be read.
  private static func text(_ path: String) -> String {
    guard let file = try? File.reading(path) else { return "" }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let count = buffer.withUnsafeMutableBytes { (try? file.read(into: $0, at: 0)) ?? 0 }
    return String(decoding: buffer.prefix(count), as: UTF8.self)
  }
}
