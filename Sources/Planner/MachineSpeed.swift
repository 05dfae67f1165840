internal import FileIO

/// How fast this machine reads: the disk that experts come from, and the memory that they are computed
/// in.
public struct MachineSpeed: Sendable {
  /// Direct reads of expert size, bytes a second; nil where nothing could be measured.
  public let diskBytesPerSecond: Double?
  /// Whether the disk was measured just now, rather than by an earlier run.
  public let isDiskNew: Bool
  /// The file that was read.
  public let probedPath: String?
  /// All threads reading memory, bytes a second.
  public let memoryBytesPerSecond: Double

  /// Larger than the caches that a core has for itself.
  private static let sampleBytes = 64 << 20
  private static let pieceBytes = 1 << 20
  /// Larger experts are measured as if they had this size: their quarters are long enough for any disk,
  /// and the probe has 32 MiB for all reads in flight.
  private static let largestRecordBytes = 8 << 20

  /// Bytes that a file has to have to be measured for experts of `recordBytes`.
  public static func leastFileBytes(recordBytes: Int) -> Int {
    min(max(recordBytes, 1), largestRecordBytes)
  }

  /// A machine of these speeds.
  public init(diskBytesPerSecond: Double?, memoryBytesPerSecond: Double) {
    self.diskBytesPerSecond = diskBytesPerSecond
    self.memoryBytesPerSecond = memoryBytesPerSecond
    (isDiskNew, probedPath) = (false, nil)
  }

  /// Measures this machine, which takes less than half a second; a disk that was measured before is not
  /// measured again.
  /// - Parameters:
  ///   - paths: Files on the disk; those shorter than an expert are left out.
  ///   - recordBytes: Bytes of an expert.
  ///   - threads: Threads that compute.
  /// - Returns: The speeds, without a disk's where no file could be measured.
  public static func measure(paths: [String], recordBytes: Int, threads: Int) -> MachineSpeed {
    let files = paths.compactMap { path in
      (try? File.readingDirect(path)).flatMap { file in
        (try? file.size()).map { (file: file, byteCount: $0) }
      }
    }
    let subject = ReadProbe.Subject(
      files: files, recordBytes: leastFileBytes(recordBytes: recordBytes))
    return MachineSpeed(
      finding: ReadProbe.finding(subject), path: subject.files.first?.file.path,
      memory: memoryRate(threads: threads))
  }

  private init(finding: ReadProbe.Finding?, path: String?, memory: Double) {
    diskBytesPerSecond = finding?.sample.bytesPerSecond
    isDiskNew = finding?.isNew ?? false
    probedPath = finding == nil ? nil : path
    memoryBytesPerSecond = memory
  }

  /// The rate at which all threads together hash memory, which XXH3 does as fast as it arrives. The
  /// second of two passes counts: the first faults the pages in.
  private static func memoryRate(threads: Int) -> Double {
    guard let buffer = try? AlignedBuffer(count: sampleBytes) else { return 1e10 }
    buffer.populate(0..<buffer.count)
    let clock = ContinuousClock()
    func pass() -> Duration {
      clock.measure {
        try? ParallelWork.forEach(sampleBytes / pieceBytes, threads: threads) { piece in
          let start = piece * pieceBytes
          let bytes = UnsafeRawBufferPointer(
            rebasing: UnsafeRawBufferPointer(buffer.bytes)[start..<start + pieceBytes])
          _ = XXH3.hash64(bytes, seed: 0)
        }
      }
    }
    _ = pass()
    let seconds = pass() / .seconds(1)
    return Double(sampleBytes) / max(seconds, 1e-6)
  }
}
