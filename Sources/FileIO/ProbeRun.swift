/// Keeps a queue full of reads for a while, hashes what arrives, and counts.
final class ProbeRun: ReadCompletion {
  private struct Progress {
    var generator: UInt64 = 0x9E37_79B9_7F4A_7C15
    var inFlight = 0
    var bytes = 0
    var hasFailed = false
  }

  private struct Plan {
    let queue: any ReadQueue
    let readBytes: Int
    let end: ContinuousClock.Instant
  }

  private let subject: ReadProbe.Subject
  private let memory: AlignedBuffer
  private let progress = Monitor(Progress())
  private let plan = Monitor<Plan?>(nil)
  private static let alignment = 4096

  init(_ subject: ReadProbe.Subject, memoryLimit: Int) throws(FileIOError) {
    self.subject = subject
    let most = 32 * max(subject.recordBytes, Self.alignment)
    memory = try AlignedBuffer(count: min(memoryLimit, most))
  }

  /// Bytes of one read of an expert with `settings`.
  func readBytes(_ settings: ReadSettings) -> Int {
    max(subject.recordBytes / settings.split / Self.alignment, 1) * Self.alignment
  }

  /// Bytes per second that `settings` reach in `time`; nil when they cannot be measured here.
  func rate(of settings: ReadSettings, for time: Duration) -> Double? {
    let readBytes = readBytes(settings)
    guard settings.depth * readBytes <= memory.count,
      let queue = try? settings.makeQueue(
        files: subject.files.map(\.file), memory: memory.bytes, piece: readBytes)
    else { return nil }
    defer { queue.close() }
    let start = ContinuousClock.now
    plan.withLock { $0 = Plan(queue: queue, readBytes: readBytes, end: start + time) }
    progress.withLock {
      $0.bytes = 0
      $0.inFlight = settings.depth
    }
    for place in 0..<settings.depth { submit(place: place, readBytes: readBytes, to: queue) }
    let (bytes, hasFailed) = progress.wait(while: { $0.inFlight > 0 }) { ($0.bytes, $0.hasFailed) }
    let elapsed = (ContinuousClock.now - start).components
    plan.withLock { $0 = nil }
    guard !hasFailed, bytes > 0 else { return nil }
    return Double(bytes) / (Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18)
  }

  /// Reads into the part of the memory that belongs to `place`.
  private func submit(place: Int, readBytes: Int, to queue: any ReadQueue) {
    let random = progress.withLock { progress in
      // Knuth's MMIX multiplier; the upper bits are good enough to scatter reads.
      progress.generator = progress.generator &* 6_364_136_223_846_793_005 &+ 1
      return progress.generator >> 16
    }
    let (file, byteCount) = subject.files[Int(random % UInt64(subject.files.count))]
    let places = (byteCount - UInt64(readBytes)) / UInt64(Self.alignment) + 1
    let range = place * readBytes..<(place + 1) * readBytes
    queue.submit(
      ReadRequest(
        file: file, offset: random / 64 % places * UInt64(Self.alignment),
        target: UnsafeMutableRawBufferPointer(rebasing: memory.bytes[range]), tag: UInt64(place),
        completion: self))
  }

  func readEnded(_ request: ReadRequest, _ outcome: ReadOutcome) {
    // As the expert store does: a backend whose one thread cannot keep up with hashing must lose.
    if case .read = outcome { _ = XXH3.hash64(UnsafeRawBufferPointer(request.target), seed: 0) }
    let plan = plan.withLock { $0 }
    let isLast = progress.withLock { progress in
      if case .read(let count) = outcome {
        progress.bytes += count
      } else {
        progress.hasFailed = true
      }
      let goesOn = !progress.hasFailed && plan.map { ContinuousClock.now < $0.end } ?? false
      if !goesOn { progress.inFlight -= 1 }
      return !goesOn
    }
    if isLast {
      progress.wakeAll()
    } else if let plan {
      submit(place: Int(request.tag), readBytes: plan.readBytes, to: plan.queue)
    }
  }
}
