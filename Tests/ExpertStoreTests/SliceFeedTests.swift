import ExpertPack
import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

@Suite("Slices handed out as they land")
struct SliceFeedTests {
  @Test(
    "every slice goes to one thread, once, after the work that needs none",
    arguments: [1, 2, 4], [1, 2, 5, 18])
  func handedOut(_ threads: Int, slots: Int) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: slots)
    for request in ExpertStoreTests.requests {
      try pack.check(store, layer: request.layer, request.experts, threads: threads, ownWork: 3)
    }
    let feed = SliceFeed(store)
    var isOwn: [Bool] = []
    try feed.serve(layer: 0, experts: [0, 1], ownWork: 2) {
      var work = feed.next(after: nil)
      while let unit = work {
        isOwn.append(unit.slice == nil)
        work = feed.next(after: unit)
      }
    }
    #expect(isOwn == [true, true] + [Bool](repeating: false, count: 8))
  }

  @Test("a slice that is late holds up no other one, of its expert or of others")
  func late() throws {
    let pack = try SyntheticPack()
    let (store, queue) = try pack.store(slots: 6) { $0.tag & 0x7f == 1 }
    let feed = SliceFeed(store)
    let indices = Monitor([Int]())
    let isEnded = endsInTime(60) {
      #expect(throws: Never.self) {
        try feed.serve(layer: 0, experts: [3, 5], ownWork: 0) {
          var work = feed.next(after: nil)
          while let unit = work {
            let count = indices.withLock { indices in
              indices.append(unit.index)
              return indices.count
            }
            if count == 6 { queue.release() }
            work = feed.next(after: unit)
          }
        }
      }
    }
    #expect(isEnded)
    #expect(Set(indices.withLock { $0.prefix(6) }) == [0, 2, 3])
    #expect(indices.withLock { $0.suffix(2) } == [1, 1])
  }

  @Test("a stall is counted once, however many threads wait, and not while one computes")
  func stall() throws {
    let pack = try SyntheticPack()
    let (store, queue) = try pack.store(slots: 6) { _ in true }
    let feed = SliceFeed(store)
    let clock = ContinuousClock()
    let start = clock.now
    try feed.serve(layer: 2, experts: [0], ownWork: 1) {
      concurrently(5) { index in
        if index == 4 {
          // Three threads at least wait by now; if they do not, the bounds hold all the more.
          Thread.sleep(forTimeInterval: 0.2)
          queue.release()
          return
        }
        var work = feed.next(after: nil)
        while let unit = work {
          if unit.slice == nil { Thread.sleep(forTimeInterval: 0.1) }
          work = feed.next(after: unit)
        }
      }
    }
    let elapsed = clock.now - start
    let stall = store.statistics.disk.stallSeconds
    #expect(stall <= Double(elapsed / .milliseconds(1)) / 1000 - 0.1)
  }

  @Test("damage ends every thread's work and is thrown once", arguments: [1, 2, 4])
  func damage(_ threads: Int) throws {
    let pack = try SyntheticPack()
    let read = pack.pack.placement(layer: 1, expert: 3).reads[2]
    try FileBytes.flipBit(pack.pack.files[1].path, offset: Int(read.payloadOffset), bit: 1)
    for slots in [1, 3, 18] {
      let store = try pack.store(slots: slots)
      let isEnded = endsInTime(60) {
        for _ in 0..<3 {
          let error = #expect(throws: ExpertStoreError.self) {
            try pack.check(store, layer: 1, [0, 3, 2, 5], threads: threads, ownWork: 2)
          }
          #expect(error?.place?.expert == 3 && error?.place?.slice == 2)
          #expect(!store.isResident(layer: 1, expert: 3))
          #expect(throws: Never.self) { try pack.check(store, layer: 1, [0, 2, 5, 4]) }
        }
      }
      #expect(isEnded, "\(slots) slots")
    }
  }
}

/// A queue that keeps some reads back until it is told to let go of them.
final class HoldingQueue: ReadQueue {
  private let queue: any ReadQueue
  private let isHeld: @Sendable (ReadRequest) -> Bool
  private let held = Monitor((requests: [ReadRequest](), isReleased: false))

  init(_ queue: any ReadQueue, isHeld: @escaping @Sendable (ReadRequest) -> Bool) {
    self.queue = queue
    self.isHeld = isHeld
  }

  var backend: ReadBackend { queue.backend }
  var depth: Int { queue.depth }

  func submit(_ request: ReadRequest) {
    let isKept = held.withLock { held in
      guard !held.isReleased, isHeld(request) else { return false }
      held.requests.append(request)
      return true
    }
    if !isKept { queue.submit(request) }
  }

  func release() {
    let requests = held.withLock { held in
      held.isReleased = true
      return held.requests
    }
    for request in requests { queue.submit(request) }
  }

  func cancel(where matches: (ReadRequest) -> Bool) { queue.cancel(where: matches) }
  func close() { queue.close() }
}

extension SyntheticPack {
  /// A store whose reads are kept back where `isHeld` says so.
  func store(
    slots: Int, isHeld: @escaping @Sendable (ReadRequest) -> Bool
  ) throws -> (ExpertStore, HoldingQueue) {
    let queue = Monitor<HoldingQueue?>(nil)
    let reading = ReadSettings(backend: .pread, depth: 4, split: 4)
    let store = try ExpertStore(
      source: ExpertSource(pack: pack), slotCount: slots, minimumSlots: 1, reading: reading,
      verification: .first, policy: .lru
    ) { files, memory, piece in
      let made = HoldingQueue(
        try reading.makeQueue(files: files, memory: memory, piece: piece), isHeld: isHeld)
      queue.withLock { $0 = made }
      return made
    }
    return (store, try #require(queue.withLock { $0 }))
  }
}
