import FileIO
import Foundation
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

@Suite("Read queues, both backends")
struct ReadQueueTests {
  @Test(
    "every byte of many reads arrives, whatever depth, registration and page cache",
    arguments: ReadHarness.backends, [1, 3, 64])
  func manyReads(_ backend: ReadBackend, depth: Int) throws {
    for (direct, registered) in [(true, true), (true, false), (false, true)] {
      let harness = try ReadHarness(direct: direct)
      let queue = try harness.queue(backend, depth: depth, isRegistered: registered)
      defer { queue.close() }
      #expect(queue.backend == backend)
      #expect(queue.depth == depth)
      let order = (0..<256).shuffled()
      for block in order {
        queue.submit(harness.request(block * 4096, 4096, at: block * 4096, tag: UInt64(block)))
      }
      let ended = harness.wait(for: 256)
      #expect(ended.allSatisfy { $0.outcome.count == 4096 })
      #expect(Set(ended.map(\.tag)) == Set(0..<256))
      #expect(harness.holds(0, 1 << 20, at: 0))
    }
  }

  @Test("reads at once end with one, and in order", arguments: ReadHarness.backends)
  func inOrder(_ backend: ReadBackend) throws {
    let harness = try ReadHarness()
    let queue = try harness.queue(backend, depth: 1)
    defer { queue.close() }
    for block in 0..<100 {
      queue.submit(harness.request(block * 4096, 4096, at: block * 4096, tag: UInt64(block)))
    }
    #expect(harness.wait(for: 100).map(\.tag) == Array(0..<100))
  }

  @Test(
    "the end of the file cuts a read short, and behind it there is nothing",
    arguments: ReadHarness.backends, [true, false])
  func endOfFile(_ backend: ReadBackend, direct: Bool) throws {
    let harness = try ReadHarness(bytes: 10_000, direct: direct)
    let queue = try harness.queue(backend)
    defer { queue.close() }
    queue.submit(harness.request(8192, 8192, at: 0, tag: 0))
    #expect(harness.wait(for: 1)[0].outcome.count == 1808)
    #expect(harness.holds(8192, 1808, at: 0))
    queue.submit(harness.request(1 << 20, 4096, at: 0, tag: 1))
    #expect(harness.wait(for: 2)[1].outcome.count == 0)
    queue.submit(harness.request(0, 16384, at: 0, tag: 2))
    #expect(harness.wait(for: 3)[2].outcome.count == 10_000)
    #expect(harness.holds(0, 10_000, at: 0))
  }

  @Test("a misaligned direct read is refused with the alignment", arguments: ReadHarness.backends)
  func misaligned(_ backend: ReadBackend) throws {
    let harness = try ReadHarness()
    try #require(harness.file.isDirect)
    let queue = try harness.queue(backend)
    defer { queue.close() }
    let requests = [(1, 4096, 0), (4096, 100, 0), (4096, 4096, 3)]
    for (offset, length, place) in requests {
      queue.submit(harness.request(offset, length, at: place))
    }
    queue.submit(harness.request(0, 4096, at: 0, tag: 9))
    let ended = harness.wait(for: 4)
    for (tag, outcome) in ended {
      if tag == 9 {
        #expect(outcome.count == 4096)
      } else {
        #expect(outcome.error?.path == harness.path)
        #expect(outcome.error?.message.contains("takes multiples of") == true)
      }
    }
  }

  @Test(
    "a descriptor that cannot be read is an error with the place", arguments: ReadHarness.backends)
  func unreadable(_ backend: ReadBackend) throws {
    let harness = try ReadHarness()
    // The file's descriptor now names something that is open for writing only.
    let other = open("/dev/null", O_WRONLY)
    #expect(dup2(other, harness.file.descriptorNumber) >= 0)
    close(other)
    let queue = try harness.queue(backend)
    defer { queue.close() }
    queue.submit(harness.request(4096, 4096, at: 0))
    let error = harness.wait(for: 1)[0].outcome.error
    #expect(error?.path == harness.path)
    #expect(
      error?.message.contains("read 4096 bytes at 4096") == true, "\(String(describing: error))")
  }

  @Test("a file that is removed or replaced is read on as it was", arguments: ReadHarness.backends)
  func replaced(_ backend: ReadBackend) throws {
    let harness = try ReadHarness()
    let queue = try harness.queue(backend)
    defer { queue.close() }
    try FileManager.default.removeItem(atPath: harness.path)
    try Data(repeating: 0, count: 1 << 20).write(to: URL(filePath: harness.path))
    queue.submit(harness.request(0, 65536, at: 0))
    #expect(harness.wait(for: 1)[0].outcome.count == 65536)
    #expect(harness.holds(0, 65536, at: 0))
  }

  @Test(
    "demand begins before what was queued as speculative, and that before the background",
    arguments: ReadHarness.backends)
  func priorities(_ backend: ReadBackend) throws {
    let gate = DispatchSemaphore(value: 0)
    let harness = try ReadHarness(onEnd: { if $0.tag == 0 { gate.wait() } })
    let queue = try harness.queue(backend, depth: 1)
    defer { queue.close() }
    // The completion of the first read holds the only thread while the others are queued.
    queue.submit(harness.request(0, 4096, at: 0, tag: 0))
    for tag in 1...4 {
      queue.submit(
        harness.request(
          0, 4096, at: tag * 4096, priority: tag <= 2 ? .background : .speculative,
          tag: UInt64(tag)))
    }
    Thread.sleep(forTimeInterval: 0.05)
    for tag in 5...8 { queue.submit(harness.request(0, 4096, at: tag * 4096, tag: UInt64(tag))) }
    gate.signal()
    let order = harness.wait(for: 9).map(\.tag).filter { $0 > 0 }
    // io_uring may have begun one of them before its thread was held.
    let demand = order.filter { $0 >= 5 }
    #expect(demand == [5, 6, 7, 8])
    #expect(order.prefix(5).filter { $0 >= 5 }.count == 4)
    #expect(order.filter { (3...4).contains($0) } == [3, 4])
    #expect(order.filter { $0 < 3 } == [1, 2] && order.last == 2)
  }

  @Test("what is cancelled in the queue never runs; the rest does", arguments: ReadHarness.backends)
  func cancel(_ backend: ReadBackend) throws {
    let gate = DispatchSemaphore(value: 0)
    let harness = try ReadHarness(onEnd: { if $0.tag == 0 { gate.wait() } })
    let queue = try harness.queue(backend, depth: 1)
    defer { queue.close() }
    queue.submit(harness.request(0, 4096, at: 0, tag: 0))
    Thread.sleep(forTimeInterval: 0.05)
    for tag in 1...20 {
      queue.submit(harness.request(4096, 4096, at: tag * 4096, tag: UInt64(tag)))
    }
    queue.cancel { $0.tag % 2 == 0 && $0.tag >= 4 }
    gate.signal()
    let ended = harness.wait(for: 21)
    for (tag, outcome) in ended {
      #expect(outcome.isCancelled == (tag % 2 == 0 && tag >= 4), "\(tag)")
    }
    #expect(!harness.holds(4096, 4096, at: 10 * 4096))
  }

  @Test(
    "closing with reads in flight ends every one, and later ones are cancelled",
    arguments: ReadHarness.backends, [1, 8])
  func closing(_ backend: ReadBackend, depth: Int) throws {
    for _ in 0..<20 {
      let harness = try ReadHarness(memory: 2 << 20)
      let queue = try harness.queue(backend, depth: depth)
      for block in 0..<200 {
        queue.submit(harness.request(block * 4096, 4096, at: block * 4096, tag: UInt64(block)))
      }
      #expect(endsInTime(30) { queue.close() })
      queue.submit(harness.request(0, 4096, at: 0, tag: 200))
      let ended = harness.wait(for: 201)
      #expect(ended.count == 201)
      #expect(ended[200].outcome.isCancelled)
      for (tag, outcome) in ended where !outcome.isCancelled {
        #expect(harness.holds(Int(tag) * 4096, 4096, at: Int(tag) * 4096))
      }
    }
  }

  @Test("completions may submit, and many threads at once too", arguments: ReadHarness.backends)
  func chained(_ backend: ReadBackend) throws {
    let queues = Monitor<(any ReadQueue)?>(nil)
    let again = Monitor<ReadHarness?>(nil)
    let harness = try ReadHarness(onEnd: { request in
      let block = Int(request.tag) % 1000
      guard request.tag < 9000, let queue = queues.withLock({ $0 }),
        let harness = again.withLock({ $0 })
      else { return }
      queue.submit(
        harness.request(block * 4096, 4096, at: block * 4096, tag: request.tag + 1000))
    })
    let queue = try harness.queue(backend, depth: 7)
    defer {
      queue.close()
      queues.withLock { $0 = nil }
      again.withLock { $0 = nil }
    }
    queues.withLock { $0 = queue }
    again.withLock { $0 = harness }
    DispatchQueue.concurrentPerform(iterations: 4) { part in
      for block in 0..<50 {
        let block = part * 50 + block
        queue.submit(harness.request(block * 4096, 4096, at: block * 4096, tag: UInt64(block)))
      }
    }
    let ended = harness.wait(for: 2000)
    #expect(ended.allSatisfy { $0.outcome.count == 4096 })
    #expect(harness.holds(0, 200 * 4096, at: 0))
  }

  @Test("signals that interrupt system calls lose nothing", arguments: ReadHarness.backends)
  func interrupted(_ backend: ReadBackend) throws {
    var action = sigaction()
    // No SA_RESTART: a blocked call returns EINTR.
    #if canImport(Darwin)
      action.__sigaction_u.__sa_handler = { _ in }
    #else
      action.__sigaction_handler.sa_handler = { _ in }
    #endif
    var before = sigaction()
    sigaction(SIGUSR2, &action, &before)
    defer { sigaction(SIGUSR2, &before, nil) }
    let threads = Monitor<Set<UInt>>([])
    let harness = try ReadHarness(onEnd: { _ in
      _ = threads.withLock { $0.insert(Self.identifier(pthread_self())) }
    })
    let queue = try harness.queue(backend, depth: 2)
    defer { queue.close() }
    for round in 0..<40 {
      for block in 0..<16 {
        let place = (round % 16) * 65536 + block * 4096
        queue.submit(harness.request(place, 4096, at: place))
      }
      for thread in threads.withLock({ $0 }) { Self.signal(thread) }
      _ = harness.wait(for: round * 16 + 8)
      for thread in threads.withLock({ $0 }) { Self.signal(thread) }
    }
    let ended = harness.wait(for: 640)
    #expect(ended.allSatisfy { $0.outcome.count == 4096 })
    #expect(harness.holds(0, 1 << 20, at: 0))
  }

  private static func identifier(_ thread: pthread_t) -> UInt {
    #if canImport(Darwin)
      UInt(bitPattern: thread)
    #else
      UInt(thread)
    #endif
  }

  private static func signal(_ thread: UInt) {
    #if canImport(Darwin)
      if let thread = pthread_t(bitPattern: thread) { pthread_kill(thread, SIGUSR2) }
    #else
      pthread_kill(pthread_t(thread), SIGUSR2)
    #endif
  }
}
