import ExpertPack
import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

@Suite("Reading ahead of demand")
struct PrefetchTests {
  /// Bytes that are read for one expert of a layer.
  private func bytes(_ pack: SyntheticPack, layer: Int) -> Int {
    pack.pack.placement(layer: layer, expert: 0).reads.reduce(0) { $0 + $1.length }
  }

  @Test("what was read ahead is served without another read, and every byte of it is right")
  func useful() throws {
    let pack = try SyntheticPack()
    for policy in CachePolicy.allCases {
      let (store, queue) = try pack.store(slots: 9, holding: [], minimum: 3, policy: policy)
      store.prefetch(layer: 1, experts: [4, 0, 2])
      queue.waitUntilIdle()
      let ahead = store.statistics
      #expect(ahead.prefetch.experts == 3)
      #expect(ahead.prefetch.bytes == 3 * bytes(pack, layer: 1))
      #expect(ahead.prefetch.usefulBytes == 0 && ahead.prefetch.wastedBytes == 0)
      #expect(ahead.expertsRead == 0 && ahead.bytesRead == ahead.prefetch.bytes)
      #expect(try pack.check(store, layer: 1, [0, 1, 2, 4]) == [0, 2, 4, 1])
      let cost = store.statistics - ahead
      #expect(cost.hits == 3 && cost.expertsRead == 1)
      #expect(cost.prefetch.usefulBytes == ahead.prefetch.bytes && cost.prefetch.bytes == 0)
      #expect(cost.prefetch.usefulExperts == 3 && cost.prefetch.wastedBytes == 0)
      #expect(queue.submittedCount(.speculative) == 12 && queue.submittedCount(.demand) == 4)
    }
  }

  @Test("a wrong guess takes the coldest slot, goes first, and is counted once it has gone")
  func wasted() throws {
    let pack = try SyntheticPack()
    for policy in CachePolicy.allCases {
      let (store, queue) = try pack.store(slots: 4, holding: [], minimum: 2, policy: policy)
      for expert in Int32(0)..<4 { try pack.check(store, layer: 0, [expert]) }
      store.prefetch(layer: 1, experts: [3])
      queue.waitUntilIdle()
      #expect(!store.isResident(layer: 0, expert: 0) && store.isResident(layer: 1, expert: 3))
      // Nobody has asked for it: it makes room, not what has been used.
      try pack.check(store, layer: 1, [5])
      #expect(store.statistics.prefetch.wastedBytes == bytes(pack, layer: 1))
      #expect(!store.isResident(layer: 1, expert: 3))
      for expert in 1..<4 { #expect(store.isResident(layer: 0, expert: expert)) }
      #expect(store.statistics.prefetch.usefulBytes == 0)
    }
  }

  @Test("a wrong guess that is asked for later was of use, and makes no room")
  func later() throws {
    let pack = try SyntheticPack()
    let (store, queue) = try pack.store(slots: 3, holding: [])
    for expert in Int32(0)..<3 { try pack.check(store, layer: 0, [expert]) }
    store.prefetch(layer: 2, experts: [1])
    queue.waitUntilIdle()
    try pack.check(store, layer: 0, [2])
    try pack.check(store, layer: 2, [1])
    #expect(store.statistics.expertsRead == 3)
    #expect(store.statistics.prefetch.usefulBytes == bytes(pack, layer: 2))
    // Named again, a guess is kept where it is.
    store.prefetch(layer: 1, experts: [2])
    queue.waitUntilIdle()
    try pack.check(store, layer: 0, [2])
    store.prefetch(layer: 1, experts: [2])
    queue.waitUntilIdle()
    try pack.check(store, layer: 1, [2])
    #expect(store.statistics.expertsRead == 3)
    #expect(store.statistics.prefetch.experts == 2)
    #expect(store.statistics.prefetch.wastedBytes == 0)
  }

  @Test("reads ahead that the router did not want fall away before they begin")
  func cancelled() throws {
    let pack = try SyntheticPack()
    let (store, queue) = try pack.store(slots: 6, holding: [.speculative])
    store.prefetch(layer: 1, experts: [0, 1, 2])
    // Of twelve reads the queue is given two.
    #expect(queue.heldCount(.speculative) == 2)
    try pack.check(store, layer: 1, [3, 4])
    #expect(queue.heldCount(.speculative) == 0 && queue.submittedCount(.speculative) == 2)
    for expert in 0..<3 { #expect(!store.isResident(layer: 1, expert: expert)) }
    let statistics = store.statistics
    #expect(statistics.prefetch.cancelledReads == 2 && statistics.prefetch.bytes == 0)
    #expect(statistics.bytesRead == 2 * bytes(pack, layer: 1))
    queue.release()
    // Their slots are free: all six hold experts now.
    try pack.check(store, layer: 0, [0, 1, 2, 3, 4, 5])
    #expect(try pack.check(store, layer: 0, [0, 1, 2, 3, 4, 5]).count == 6)
    #expect(store.statistics.expertsRead == 8)
  }

  @Test("reads ahead that are wanted before they begin become demand")
  func promoted() throws {
    let pack = try SyntheticPack()
    let (store, queue) = try pack.store(slots: 6, holding: [.speculative])
    store.prefetch(layer: 1, experts: [0, 1])
    #expect(queue.heldCount(.speculative) == 2)
    // Held reads would never end: only as demand do they.
    #expect(
      endsInTime(60) { #expect(throws: Never.self) { try pack.check(store, layer: 1, [1, 0]) } })
    let statistics = store.statistics
    #expect(statistics.hits == 2 && statistics.expertsRead == 0)
    #expect(statistics.prefetch.usefulExperts == 2)
    #expect(statistics.prefetch.bytes == 0 && statistics.prefetch.cancelledReads == 0)
    #expect(statistics.bytesRead == 2 * bytes(pack, layer: 1))
    #expect(queue.submittedCount(.demand) == 8)
  }

  @Test("reads that warm the cache come after reads ahead, and do not fall away with them")
  func warming() throws {
    let pack = try SyntheticPack()
    let time = Monitor(0.0)
    let (store, queue) = try pack.store(
      slots: 8, holding: [.background, .speculative], now: { time.withLock { $0 } })
    store.warm([ExpertID(layer: 0, expert: 5)])
    store.prefetch(layer: 1, experts: [0])
    #expect(queue.heldCount(.background) == 4 && queue.heldCount(.speculative) == 2)
    #expect(store.usedSlotCount == 2)
    try pack.check(store, layer: 2, [3])
    #expect(queue.heldCount(.background) == 4 && queue.heldCount(.speculative) == 0)
    #expect(store.usedSlotCount == 2)
    #expect(store.statistics.prefetch.cancelledReads == 2 && store.statistics.warmExperts == 0)
    time.withLock { $0 = 5 }
    #expect(store.statistics.disk.busySeconds == 5 && store.statistics.disk.demandSeconds == 0)
    // Somebody waits for them from here on.
    let isEnded = endsInTime(60) {
      #expect(throws: Never.self) {
        try store.withExperts(layer: 0, experts: [5]) { _, expert in
          time.withLock { $0 = 7 }
          queue.release()
          for slice in 0..<expert.sliceCount { _ = try expert.slice(slice) }
        }
      }
    }
    #expect(isEnded)
    queue.waitUntilIdle()
    let statistics = store.statistics
    #expect(statistics.hits == 1 && statistics.expertsRead == 1 && statistics.warmExperts == 1)
    #expect(statistics.disk.busySeconds == 7 && statistics.disk.demandSeconds == 2)
    #expect(try pack.check(store, layer: 0, [5]) == [5])
  }

  @Test("nothing is read ahead while demand is")
  func priority() throws {
    let pack = try SyntheticPack()
    let (store, queue) = try pack.store(slots: 6, holding: [])
    try pack.check(store, layer: 0, [0])
    queue.release(holding: [.demand])
    let isEnded = endsInTime(60) {
      #expect(throws: Never.self) {
        try store.withExperts(layer: 0, experts: [0, 1]) { index, expert in
          if index == 0 {
            store.prefetch(layer: 1, experts: [0, 1])
            #expect(queue.heldCount(.demand) == 4 && queue.submittedCount(.speculative) == 0)
            queue.release()
          }
          for slice in 0..<expert.sliceCount { _ = try expert.slice(slice) }
        }
      }
    }
    #expect(isEnded)
    queue.waitUntilIdle()
    #expect(store.statistics.prefetch.bytes == 2 * bytes(pack, layer: 1))
  }

  @Test("slots that a token needs are never read ahead into, nor what is named itself evicted")
  func capacity() throws {
    let pack = try SyntheticPack()
    for (slots, expected) in [(3, 0), (4, 1), (5, 2), (9, 6)] {
      let (store, queue) = try pack.store(slots: slots, holding: [], minimum: 3)
      store.prefetch(layer: 1, experts: [0, 1, 2, 3, 4, 5])
      queue.waitUntilIdle()
      #expect(store.statistics.prefetch.experts == expected)
      try pack.check(store, layer: 0, [0, 1, 2])
    }
    let (store, queue) = try pack.store(slots: 3, holding: [])
    for expert in Int32(0)..<3 { try pack.check(store, layer: 1, [expert]) }
    // Expert 0 is the coldest, and named: nothing makes room for 5.
    store.prefetch(layer: 1, experts: [5, 0])
    queue.waitUntilIdle()
    #expect(store.statistics.prefetch.experts == 0)
    #expect(store.isResident(layer: 1, expert: 0))
  }

  @Test("the time in which demand is read is measured, that of reads ahead is not")
  func idle() throws {
    let pack = try SyntheticPack()
    let time = Monitor(100.0)
    let (store, queue) = try pack.store(
      slots: 6, holding: [.demand, .speculative], now: { time.withLock { $0 } })
    store.prefetch(layer: 1, experts: [0])
    time.withLock { $0 = 110 }
    queue.release(holding: [.demand])
    queue.waitUntilIdle()
    #expect(store.statistics.disk.demandSeconds == 0)
    let isEnded = endsInTime(60) {
      #expect(throws: Never.self) {
        try store.withExperts(layer: 1, experts: [0, 1]) { index, expert in
          if index == 0 {
            time.withLock { $0 = 113 }
            queue.release()
          }
          for slice in 0..<expert.sliceCount { _ = try expert.slice(slice) }
        }
      }
    }
    #expect(isEnded)
    queue.waitUntilIdle()
    #expect(store.statistics.disk.demandSeconds == 3)
  }
}
