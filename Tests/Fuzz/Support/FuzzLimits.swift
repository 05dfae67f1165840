#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// What one input may cost, beside not trapping: a second of processor time and 100 MB of memory.
///
/// libFuzzer's own limits are wall-clock time, which says nothing on a busy machine, and memory as it is
/// seen once a second.
package enum FuzzLimits {
  private static let seconds = 1.0
  private static let bytes = 100 << 20
  /// The process's peak until now, KiB.
  nonisolated(unsafe) private static var peak = 0

  /// Runs `body` on one input; traps when it costs too much.
  package static func hold(_ body: () -> Void) {
    let start = processorSeconds
    let before = residentBytes
    body()
    let used = processorSeconds - start
    precondition(used < seconds, "one input took \(used) s of processor time")
    let now = peakKibibytes
    // The peak of this input alone is known when it is a new one.
    guard now > peak else { return }
    let grown = now * 1024 - before
    precondition(peak == 0 || grown < bytes, "one input took \(grown) bytes of memory")
    peak = now
  }

  private static var processorSeconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private static var peakKibibytes: Int {
    var usage = rusage()
    #if os(Linux)
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
      return usage.ru_maxrss
    #else
      getrusage(RUSAGE_SELF, &usage)
      return usage.ru_maxrss / 1024
    #endif
  }

  private static var residentBytes: Int {
    #if os(Linux)
      guard let file = fopen("/proc/self/statm", "r") else { return 0 }
      defer { fclose(file) }
      var text = [CChar](repeating: 0, count: 128)
      guard fgets(&text, Int32(text.count), file) != nil else { return 0 }
      let words = String(decoding: text.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        .split(separator: " ")
      return (words.count > 1 ? Int(words[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    #else
      return peakKibibytes * 1024
    #endif
  }
}
