internal import CKernels
internal import CPlatform
internal import Synchronization
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Threads of our own for compute, named `moe-cpu-1` and so on. They never touch Swift's cooperative
/// pool, spin for some microseconds when a job is done, and then sleep.
///
/// The thread that calls ``forEach(_:grain:_:)`` takes part in the work, so a pool of one thread has
/// none of its own. The last reference ends the threads and waits for them.
public final class ComputePool: Sendable {
  /// Threads that work on a job, the caller included. Fewer than asked for when the system refuses
  /// to make more.
  public let threads: Int

  private let crew: ComputeCrew
  private let workers: [Worker]

  /// A pool of `threads` threads, 1 to 16,383.
  ///
  /// With `isPinned` each thread of its own stays on a core of its own, as far as there are enough. That
  /// pays where a scheduler moves threads about; on two cores it changed nothing in memory, and took 3 %
  /// of the speed while experts were read, whose readers need the same cores.
  public init(threads: Int, isPinned: Bool = false) {
    precondition(
      (1...ComputeCrew.largestCount).contains(threads),
      "a pool has 1 to \(ComputeCrew.largestCount) threads, the calling one included, got \(threads)"
    )
    // A thread that spins while another waits for the core delays it.
    let crew = ComputeCrew(isSpinning: threads <= Int(cp_processor_count()))
    let processors = isPinned ? Self.processors(threads: threads) : []
    var workers: [Worker] = []
    for number in 1..<threads {
      let processor = processors.isEmpty ? nil : processors[number]
      guard let worker = Worker(crew: crew, number: number, processor: processor) else { break }
      workers.append(worker)
    }
    self.crew = crew
    self.workers = workers
    self.threads = workers.count + 1
  }

  /// A processor for each of `threads` threads, on cores of their own; none where there are not enough.
  private static func processors(threads: Int) -> [Int32] {
    var processors = [Int32](repeating: 0, count: threads)
    return cp_cores(&processors, Int32(clamping: threads)) >= threads ? processors : []
  }

  deinit {
    crew.stop()
    for worker in workers { worker.join() }
  }

  /// Calls `body` for ranges that together are exactly `0..<count`, and returns when all are done.
  ///
  /// `body` runs on several threads at once and in no particular order. Its ranges have `grain`
  /// elements or more, but for the last; how many there are depends on the number of threads.
  /// While another call is under way, which includes one from within `body`, everything runs on the
  /// calling thread. What `body` wrote is visible to the caller afterwards. Allocates nothing and takes
  /// no lock.
  public func forEach(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    precondition(count >= 0 && grain >= 1, "\(count) elements in chunks of \(grain)")
    guard count > 0 else { return }
    // Shares of a 32nd of a thread's part even out threads that readers interrupt.
    let smallest = max(grain, (count + threads * 32 - 1) / (threads * 32))
    guard threads > 1, smallest < count, crew.begin() else { return body(0..<count) }
    defer { crew.end() }
    var request = Request(crew: crew, count: count, smallest: smallest, divisor: threads * 3)
    withUnsafeMutablePointer(to: &request) { request in
      withRangeClosure(
        body,
        { closure, argument in
          let request = argument.assumingMemoryBound(to: Request.self).pointee
          request.crew.run(
            ComputeCrew.Job(
              body: closure, count: request.count, smallest: request.smallest,
              divisor: request.divisor))
        }, request)
    }
  }

  /// A job but for its body.
  private struct Request {
    let crew: ComputeCrew
    let count: Int
    let smallest: Int
    let divisor: Int
  }
}

/// Calls `use` with the words of `body`, valid until it returns, and `argument`: `cp_closure.h`.
@_silgen_name("cp_with_range_closure")
private func withRangeClosure(
  _ body: (Range<Int>) -> Void,
  _ use: @convention(c) (cp_range_closure, UnsafeMutableRawPointer) -> Void,
  _ argument: UnsafeMutableRawPointer)

/// A thread that serves a crew until it stops.
private struct Worker: @unchecked Sendable {
  // Sendable: a thread's handle is a plain value.
  private let thread: pthread_t

  /// Starts the thread; nil when the system refuses.
  init?(crew: ComputeCrew, number: Int, processor: Int32?) {
    let start = Unmanaged.passRetained(
      Start(crew: crew, number: number, processor: processor))
    #if canImport(Darwin)
      var thread: pthread_t?
      let result = pthread_create(&thread, nil, { Worker.serve($0) }, start.toOpaque())
      guard result == 0, let thread else {
        start.release()
        return nil
      }
      self.thread = thread
    #else
      var thread = pthread_t()
      let result = pthread_create(
        &thread, nil,
        { argument in
          guard let argument else { return nil }
          return Worker.serve(argument)
        }, start.toOpaque())
      guard result == 0 else {
        start.release()
        return nil
      }
      self.thread = thread
    #endif
  }

  /// Waits for the thread to end.
  func join() { pthread_join(thread, nil) }

  private final class Start: Sendable {
    let crew: ComputeCrew
    let number: Int
    let processor: Int32?

    init(crew: ComputeCrew, number: Int, processor: Int32?) {
      self.crew = crew
      self.number = number
      self.processor = processor
    }
  }

  private static func serve(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
    cp_name_thread("moe-cpu-\(start.number)")
    if let processor = start.processor { cp_pin_thread(processor) }
    start.crew.serve()
    return nil
  }
}
