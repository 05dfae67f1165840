/// Finds out how a disk is best read, by reading it for a moment.
public enum ReadProbe {
  /// One setting and what it reached.
  public struct Sample: Sendable, Equatable {
    /// The setting.
    public let settings: ReadSettings
    /// Bytes per second from the first submission to the last completion.
    public let bytesPerSecond: Double

    /// A sample of these values.
    public init(settings: ReadSettings, bytesPerSecond: Double) {
      self.settings = settings
      self.bytesPerSecond = bytesPerSecond
    }
  }

  /// What is read: direct reads at pseudo-random places of a pack's own files.
  public struct Subject: Sendable {
    /// The files, each with its length in bytes.
    public let files: [(file: File, byteCount: UInt64)]
    /// Bytes of an expert; a read is a part of it.
    public let recordBytes: Int

    /// A subject of `files`, of which those shorter than an expert are left out.
    public init(files: [(file: File, byteCount: UInt64)], recordBytes: Int) {
      self.files = files.filter { $0.byteCount >= UInt64(max(recordBytes, 1)) }
      self.recordBytes = recordBytes
    }
  }

  /// Time for all measurements; starting and ending the queues adds to it, so that a probe takes
  /// less than 200 ms.
  public static let budget = Duration.milliseconds(150)
  private static let window = Duration.milliseconds(9)
  private static let depths: [ReadBackend: [Int]] = [
    .uring: [4, 8, 16, 32], .pread: [1, 4, 8, 16, 32],
  ]
  /// Most memory that the probe reads into.
  private static let memoryLimit = 32 << 20

  /// Measures `subject` and returns the best setting, or nil when there is nothing to measure or
  /// reading fails; what is wrong with the files shows when the model reads them.
  public static func measure(_ subject: Subject) -> Sample? {
    let deadline = ContinuousClock.now + budget
    guard !subject.files.isEmpty, let run = try? ProbeRun(subject, memoryLimit: memoryLimit) else {
      return nil
    }
    var fastestSoFar = 0.0
    func sample(_ settings: ReadSettings) -> Sample? {
      // What is in flight when the time is up has to be waited for.
      let drain = Double(settings.depth * run.readBytes(settings)) / max(fastestSoFar, 1e8)
      let time = min(window, deadline - .now - .seconds(drain))
      guard time > .milliseconds(3) else { return nil }
      let rate = run.rate(of: settings, for: time)
      fastestSoFar = max(fastestSoFar, rate ?? 0)
      return rate.map { Sample(settings: settings, bytesPerSecond: $0) }
    }
    // The first reads wake the disk and fault the buffer in; they are not counted.
    _ = sample(ReadSettings(backend: .pread, depth: 4, split: 4))
    // Shallow before deep: a slow disk uses up the time on depths that it can drain.
    let candidates = depths.flatMap { backend, depths in
      backend.isAvailable
        ? depths.map { ReadSettings(backend: backend, depth: $0, split: 4) } : []
    }.sorted { ($0.depth, $0.backend.rawValue) < ($1.depth, $1.backend.rawValue) }
    guard let chosen = choose(candidates.compactMap(sample)) else { return nil }
    let others = [8, 2, 1].compactMap { split in
      sample(
        ReadSettings(backend: chosen.settings.backend, depth: chosen.settings.depth, split: split))
    }
    // Quarters let compute begin early, so another split has to be clearly faster.
    let fastest = others.max { $0.bytesPerSecond < $1.bytesPerSecond }
    guard let fastest, fastest.bytesPerSecond * tolerance > chosen.bytesPerSecond else {
      return chosen
    }
    return fastest
  }

  /// Share of the best rate that is as good as the best: what two measurements differ by anyway.
  private static let tolerance = 0.9

  /// Of `samples` within 90 % of the fastest the one whose depth is nearest to that of
  /// ``ReadSettings/standard``, the pool before the ring, and then the fastest.
  ///
  /// The probe finds an idle machine. While every core computes, one read in flight leaves the disk
  /// without work until its thread is let in again, and deep queues delay the read that compute waits
  /// for: generating from a cache of a fifth of the experts ran at 7.5 to 8.4 tokens a second with one
  /// read in flight, 9.0 to 9.8 with eight and 8.6 to 9.4 with 16, all the same to the idle disk.
  public static func choose(_ samples: [Sample]) -> Sample? {
    let best = samples.map(\.bytesPerSecond).max() ?? 0
    let good = samples.filter { $0.bytesPerSecond >= best * tolerance && best > 0 }
    func distance(_ sample: Sample) -> Int {
      let (depth, usual) = (sample.settings.depth, ReadSettings.standard.depth)
      return max(depth, usual) / max(1, min(depth, usual))
    }
    func rank(_ sample: Sample) -> (Int, Int, Double) {
      (distance(sample), sample.settings.backend == .pread ? 0 : 1, -sample.bytesPerSecond)
    }
    return good.min { rank($0) < rank($1) }
  }
}
