internal import CPlatform
internal import Synchronization
internal import SystemPackage

/// The thread of a ``UringQueue``: moves reads from the backlog to the ring, and what the ring has
/// done to its completions.
final class UringLoop: @unchecked Sendable {
  // Sendable: `flights`, `free` and `ended` are used by the thread in `run` alone, and so is the
  // ring but for `cp_uring_wake`; the rest is constant or locked.

  private struct Shared {
    var backlog = ReadBacklog()
    var isStopping = false
    /// The thread waits, or is about to, with room for another read.
    var needsWake = false
  }

  /// A read that the kernel works on.
  private struct Flight {
    var request: ReadRequest?
    /// Bytes that earlier, short reads have delivered.
    var done = 0
  }

  private let ring: OpaquePointer
  private let shared = Mutex(Shared())
  private let startError = Monitor<Int32?>(nil)
  private var flights: [Flight]  // by index, which is the user data of the ring
  private var free: [Int]
  private var ended: [(request: ReadRequest, outcome: ReadOutcome)] = []

  private let files: [File]
  private let registeredIndex: [ObjectIdentifier: Int32]
  private let memory: UnsafeMutableRawBufferPointer
  /// Bytes of a registered buffer; 0 when none is registered.
  private let bufferBytes: Int

  var isRegistered: Bool { bufferBytes > 0 && !registeredIndex.isEmpty }

  init(
    depth: Int, files: [File], memory: UnsafeMutableRawBufferPointer, piece: Int
  ) throws(FileIOError) {
    var created: OpaquePointer?
    let error = cp_uring_create(UInt32(depth), &created)
    guard error == 0, let created else {
      throw FileIOError(
        .system, path: "io_uring",
        message: "the system refuses it (\(Errno(rawValue: error))); use the pread backend")
    }
    ring = created
    flights = [Flight](repeating: Flight(), count: depth)
    free = Array((0..<depth).reversed())
    ended.reserveCapacity(depth)
    self.files = files
    self.memory = memory

    let descriptors = files.map(\.descriptorNumber)
    let filesTaken =
      !files.isEmpty && cp_uring_register_files(ring, descriptors, UInt32(files.count)) == 0
    registeredIndex =
      filesTaken
      ? Dictionary(
        zip(files.map { ObjectIdentifier($0) }, Int32(0)...),
        uniquingKeysWith: { first, _ in first
        }) : [:]
    // The kernel takes buffers of at most 1 GiB.
    let buffer = (1 << 30) / max(piece, 1) * max(piece, 1)
    let memoryTaken =
      buffer > 0 && !memory.isEmpty
      && cp_uring_register_buffers(ring, memory.baseAddress, memory.count, buffer) == 0
    bufferBytes = memoryTaken ? buffer : 0
  }

  deinit { cp_uring_destroy(ring) }

  /// Waits for the thread to own the ring.
  func waitUntilStarted() throws(FileIOError) {
    let error = startError.wait(while: { $0 == nil }) { $0 ?? 0 }
    guard error == 0 else {
      throw FileIOError(Errno(rawValue: error), path: "io_uring", operation: "enable the ring")
    }
  }

  /// Appends to the backlog; false once the loop is stopping.
  func enqueue(_ request: ReadRequest) -> Bool {
    let (isTaken, wakes) = shared.withLock { shared in
      guard !shared.isStopping else { return (false, false) }
      shared.backlog.append(request)
      defer { shared.needsWake = false }
      return (true, shared.needsWake)
    }
    if wakes { cp_uring_wake(ring) }
    return isTaken
  }

  func remove(where matches: (ReadRequest) -> Bool) -> [ReadRequest] {
    shared.withLock { $0.backlog.remove(where: matches) }
  }

  /// Lets the thread end once nothing is in flight.
  func stop() {
    shared.withLock { $0.isStopping = true }
    cp_uring_wake(ring)
  }

  /// What the thread does.
  func run() {
    let error = cp_uring_enable(ring)
    startError.withLock { $0 = error }
    startError.wakeAll()
    guard error == 0 else { return }
    while true {
      let isStopping = refill(beforeWaiting: true)
      if isStopping && free.count == flights.count && ended.isEmpty { return }
      submit(waiting: ended.isEmpty)
      collect()
      guard !ended.isEmpty else { continue }
      refill(beforeWaiting: false)
      submit(waiting: false)
      deliver()
    }
  }

  /// Moves queued reads to the ring's submission queue while there is room.
  /// - Returns: Whether no more reads will come.
  @discardableResult
  private func refill(beforeWaiting: Bool) -> Bool {
    shared.withLock { shared in
      while !free.isEmpty, var request = shared.backlog.popFirst() {
        if let refusal = request.refusal {
          ended.append((request, .failed(refusal)))
          continue
        }
        guard let index = free.popLast() else { break }
        request.began = .now
        flights[index] = Flight(request: request)
        prepare(index)
      }
      shared.needsWake = beforeWaiting && !free.isEmpty
      return shared.isStopping
    }
  }

  /// Queues what is left of flight `index`.
  private func prepare(_ index: Int) {
    guard let request = flights[index].request else { return }
    let done = flights[index].done
    let rest = UnsafeMutableRawBufferPointer(rebasing: request.target[done...])
    let registered = registeredIndex[ObjectIdentifier(request.file)]
    let isQueued = cp_uring_read(
      ring, registered ?? request.file.descriptorNumber, registered != nil,
      registeredBuffer(of: rest), rest.baseAddress, UInt32(min(rest.count, 1 << 30)),
      request.offset + UInt64(done), UInt64(index))
    precondition(isQueued, "the ring has an entry for every flight")
  }

  /// The registered buffer that holds all of `target`, -1 for none.
  private func registeredBuffer(of target: UnsafeMutableRawBufferPointer) -> Int32 {
    guard bufferBytes > 0, let base = memory.baseAddress, let start = target.baseAddress else {
      return -1
    }
    let first = start - base
    guard first >= 0, first + target.count <= memory.count, !target.isEmpty,
      first / bufferBytes == (first + target.count - 1) / bufferBytes
    else { return -1 }
    return Int32(first / bufferBytes)
  }

  private func submit(waiting: Bool) {
    let error = cp_uring_submit(ring, waiting ? 1 : 0)
    // Interrupted, or short of resources until completions are taken: the loop comes back.
    precondition(
      error == 0 || [EINTR, EAGAIN, EBUSY, ENOMEM].contains(error),
      "io_uring_enter: \(Errno(rawValue: error))")
  }

  /// Takes what the ring has done; short and interrupted reads go on.
  private func collect() {
    var (index, result): (UInt64, Int32) = (0, 0)
    while cp_uring_take(ring, &index, &result) {
      guard index != UInt64.max else { continue }
      let flight = Int(index)
      guard let request = flights[flight].request else { continue }
      if result == -EINTR || result == -EAGAIN {
        prepare(flight)
        continue
      }
      if result > 0 {
        flights[flight].done += Int(result)
        let done = flights[flight].done
        // A direct read that stops short of a multiple has met the end of the file.
        if done < request.target.count, done % request.file.directAlignment == 0 {
          prepare(flight)
          continue
        }
      }
      let outcome: ReadOutcome =
        result >= 0
        ? .read(flights[flight].done)
        : .failed(
          FileIOError(
            Errno(rawValue: -result), path: request.file.path,
            operation: "read \(request.target.count) bytes at \(request.offset)"))
      flights[flight] = Flight()
      free.append(flight)
      ended.append((request, outcome))
    }
  }

  /// Tells completions, and begins what they and others submit meanwhile.
  private func deliver() {
    var next = 0
    while next < ended.count {
      let (request, outcome) = ended[next]
      next += 1
      request.completion.readEnded(request, outcome)
      let waiting = free.count
      refill(beforeWaiting: false)
      if free.count < waiting { submit(waiting: false) }
    }
    ended.removeAll(keepingCapacity: true)
  }
}

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif
