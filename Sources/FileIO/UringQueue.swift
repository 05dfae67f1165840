internal import CPlatform
internal import Synchronization
internal import SystemPackage

/// A read queue on io_uring: one thread, `moe-io-0`, submits and completes all reads.
///
/// The thread that computes only appends to the backlog: pinning pages and building requests, the
/// expensive part of a submission, happens on the queue's thread. Completed reads are replaced by
/// queued ones before their completions run, so the disk stays busy while checksums are computed.
public final class UringQueue: ReadQueue {
  private let ring: UringLoop
  private let thread: ThreadGroup

  /// Reads that run at once, at most.
  public let depth: Int

  /// Whether files and memory are registered with the kernel, which spares CPU time with every
  /// read. The limit on locked memory (`ulimit -l`) may forbid it; reads are plain ones then.
  public var isRegistered: Bool { ring.isRegistered }

  /// `.uring`.
  public var backend: ReadBackend { .uring }

  /// Makes a ring for `depth` reads at once, 1 to 64.
  /// - Parameters:
  ///   - depth: Reads at once, at most.
  ///   - files: The files that most reads will be of.
  ///   - memory: Where most reads will go; has to outlive the queue.
  ///   - piece: No read crosses a multiple of so many bytes from the start of `memory`.
  /// - Throws: `.system` where the kernel has no io_uring or forbids it.
  public init(
    depth: Int, files: [File] = [],
    memory: UnsafeMutableRawBufferPointer = UnsafeMutableRawBufferPointer(start: nil, count: 0),
    piece: Int = 1
  ) throws(FileIOError) {
    self.depth = min(max(depth, 1), 64)
    let ring = try UringLoop(depth: self.depth, files: files, memory: memory, piece: piece)
    self.ring = ring
    thread = try ThreadGroup(name: "moe-io", count: 1) { ring.run() }
    try ring.waitUntilStarted()
  }

  /// Whether the kernel lets this process have a ring.
  public static var isAvailable: Bool {
    var ring: OpaquePointer?
    guard cp_uring_create(1, &ring) == 0 else { return false }
    cp_uring_destroy(ring)
    return true
  }

  /// Queues `request` for the ring.
  public func submit(_ request: ReadRequest) {
    if !ring.enqueue(request) { request.completion.readEnded(request, .cancelled) }
  }

  /// Ends queued reads that match as cancelled.
  public func cancel(where matches: (ReadRequest) -> Bool) {
    let removed = ring.remove(where: matches)
    for request in removed { request.completion.readEnded(request, .cancelled) }
  }

  /// Cancels what is queued, waits for what runs and ends the thread.
  public func close() {
    ring.stop()
    cancel { _ in true }
    thread.join()
  }
}
