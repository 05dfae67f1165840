import ExpertPack
import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

/// Passes reads on and notes what for.
private final class NotingQueue: ReadQueue {
  let inner: any ReadQueue
  let priorities = Monitor<[ReadPriority]>([])

  init(_ inner: any ReadQueue) { self.inner = inner }

  var backend: ReadBackend { inner.backend }
  var depth: Int { inner.depth }
  func submit(_ request: ReadRequest) {
    priorities.withLock { $0.append(request.priority) }
    inner.submit(request)
  }
  func cancel(where matches: (ReadRequest) -> Bool) { inner.cancel(where: matches) }
  func close() { inner.close() }
}

@Suite("Warming a store")
struct WarmingTests {
  private static let all = (0..<3).flatMap { layer in
    (0..<6).map { ExpertID(layer: layer, expert: $0) }
  }

  private func wait(_ isDone: () -> Bool) -> Bool {
    for _ in 0..<5000 where !isDone() { usleep(1000) }
    return isDone()
  }

  /// Waits until `store` has read `count` experts ahead.
  private func settle(_ store: ExpertStore, _ count: Int) {
    #expect(wait { store.statistics.warmExperts == count })
  }

  @Test(
    "fills empty slots in the order given, counts its bytes apart, and what it read is right",
    arguments: SyntheticPack.readings)
  func fills(_ reading: ReadSettings) throws {
    for kind in [PackKind.packed, .inPlace] {
      let pack = try SyntheticPack(kind: kind)
      let store = try pack.store(slots: 7, reading: reading)
      var random = RandomBytes(seed: 3)
      let order = Self.all.shuffled(using: &random)
      store.warm(order)
      settle(store, 7)
      let warmed = store.statistics
      #expect(warmed.reads == 0 && warmed.bytesRead == 0 && warmed.expertsRead == 0)
      #expect(warmed.warmBytes > 0 && warmed.warmBytes >= warmed.verifiedBytes)
      #expect(warmed.disk.busySeconds > 0)
      #expect(store.usedSlotCount == 7)
      for (index, id) in order.enumerated() {
        #expect(store.isResident(layer: id.layer, expert: id.expert) == (index < 7))
      }
      for id in order.prefix(7) { try pack.check(store, layer: id.layer, [Int32(id.expert)]) }
      let used = store.statistics
      #expect(used.hits == 7 && used.bytesRead == 0 && used.warmBytes == warmed.warmBytes)
    }
  }

  @Test("reads ahead stay in the background, everybody else's do not")
  func priorities() throws {
    let pack = try SyntheticPack()
    let reading = ReadSettings(backend: .pread, depth: 2, split: 4)
    let queue = Monitor<NotingQueue?>(nil)
    let store = try ExpertStore(
      source: ExpertSource(pack: pack.pack), slotCount: 18, minimumSlots: 1, reading: reading,
      verification: .first, policy: .auto
    ) { files, memory, piece in
      let made = NotingQueue(try reading.makeQueue(files: files, memory: memory, piece: piece))
      queue.withLock { $0 = made }
      return made
    }
    let noting = try #require(queue.withLock { $0 })
    store.warm(Array(Self.all.prefix(5)))
    settle(store, 5)
    #expect(noting.priorities.withLock { $0 } == [ReadPriority](repeating: .background, count: 20))
    noting.priorities.withLock { $0 = [] }
    try pack.check(store, layer: 1, [0, 1, 2, 3])
    #expect(noting.priorities.withLock { $0 } == [ReadPriority](repeating: .demand, count: 16))
  }

  @Test("it never evicts, and stops where no slot is empty", arguments: CachePolicy.allCases)
  func neverEvicts(_ policy: CachePolicy) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 6, policy: policy)
    try pack.check(store, layer: 0, [0, 1, 2, 3])
    // One after the other: two reads at once may end in either order.
    store.warm([.init(layer: 2, expert: 5)])
    settle(store, 1)
    store.warm(Self.all.reversed())
    settle(store, 2)
    usleep(20_000)
    #expect(store.statistics.warmExperts == 2)
    for expert in 0..<4 { #expect(store.isResident(layer: 0, expert: expert)) }
    // Of the experts read ahead the last that arrived goes first, before those that were used.
    try pack.check(store, layer: 1, [0])
    #expect(store.isResident(layer: 2, expert: 5) && !store.isResident(layer: 2, expert: 4))
    try pack.check(store, layer: 1, [1])
    #expect(!store.isResident(layer: 2, expert: 5))
    for expert in 0..<4 { #expect(store.isResident(layer: 0, expert: expert)) }
  }

  @Test(
    "an expert read ahead and then used is evicted like any other",
    arguments: [CachePolicy.lru, .crf])
  func used(_ policy: CachePolicy) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 3, policy: policy)
    store.warm([.init(layer: 0, expert: 0), .init(layer: 0, expert: 1), .init(layer: 0, expert: 2)])
    settle(store, 3)
    try pack.check(store, layer: 0, [2])
    try pack.check(store, layer: 1, [0])
    try pack.check(store, layer: 1, [1])
    #expect(store.isResident(layer: 0, expert: 2))
    #expect(!store.isResident(layer: 0, expert: 0) && !store.isResident(layer: 0, expert: 1))
    try pack.check(store, layer: 1, [2])
    #expect(!store.isResident(layer: 0, expert: 2))
  }

  @Test("the hot experts are the residents, last victim first, then what was not read ahead yet")
  func hot() throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 4, policy: .lru)
    #expect(store.hotExperts == [])
    for id in [(0, 1), (2, 3), (1, 5), (0, 1)] {
      try pack.check(store, layer: id.0, [Int32(id.1)])
    }
    let used = [(0, 1), (1, 5), (2, 3)].map { ExpertID(layer: $0, expert: $1) }
    #expect(store.hotExperts == used)
    let wanted = [used[2]] + [(1, 0), (1, 1), (1, 2)].map { ExpertID(layer: $0, expert: $1) }
    store.warm(wanted)
    settle(store, 1)
    #expect(store.hotExperts == used + [wanted[1]])
  }

  @Test("what is left of a warm list when the run ends is not forgotten")
  func unfinished() throws {
    let pack = try SyntheticPack()
    let plan = FaultyQueue.Plan(share: 1, faults: [.delay])
    let reading = ReadSettings(backend: .pread, depth: 1, split: 4)
    let (store, _) = try pack.store(slots: 18, reading: reading, plan: plan)
    store.warm(Self.all)
    let hot = store.hotExperts
    // Experts whose reads are under way may be missing, the last of the list may not.
    #expect(hot.count >= 16 && hot.last == Self.all.last)
  }

  @Test(
    "while the store is used, every byte served is right, and users wait for no more slots",
    arguments: SyntheticPack.readings)
  func concurrent(_ reading: ReadSettings) throws {
    let pack = try SyntheticPack()
    for slots in [1, 2, 5, 18] {
      let plan = FaultyQueue.Plan(share: 0.2, faults: FaultyQueue.Fault.allCases)
      let (store, _) = try pack.store(
        slots: slots, reading: reading, plan: plan, verification: .always)
      let isEnded = endsInTime(60) {
        store.warm(Self.all.reversed())
        DispatchQueue.concurrentPerform(iterations: 2) { user in
          for request in ExpertStoreTests.requests {
            #expect(throws: Never.self) {
              try pack.check(store, layer: (request.layer + user) % 3, request.experts)
            }
          }
        }
      }
      #expect(isEnded)
      let statistics = store.statistics
      #expect(statistics.expertsRequested == statistics.hits + statistics.expertsRead)
    }
  }

  @Test(
    "what cannot be read ahead is left out; whoever needs it is told, or gets it once it is well",
    arguments: SyntheticPack.readings, [FaultyQueue.Fault.ioError, .short, .flip])
  func broken(_ reading: ReadSettings, fault: FaultyQueue.Fault) throws {
    let pack = try SyntheticPack()
    let plan = FaultyQueue.Plan(share: 1, faults: [fault], isForever: true)
    let (store, queue) = try pack.store(slots: 4, reading: reading, plan: plan)
    store.warm(Self.all)
    // Every slot is empty again once all have been tried.
    #expect(wait { store.hotExperts.isEmpty && store.usedSlotCount == 0 })
    #expect(store.statistics.warmExperts == 0)
    let error = #expect(throws: ExpertStoreError.self) { try pack.check(store, layer: 1, [3]) }
    #expect(error?.place?.layer == 1 && error?.place?.expert == 3)
    queue.heal()
    for layer in 0..<3 { try pack.check(store, layer: layer, [5, 4, 3, 2, 1, 0]) }
  }

  @Test("a store that goes away ends it at once", arguments: SyntheticPack.readings)
  func closes(_ reading: ReadSettings) throws {
    let pack = try SyntheticPack()
    let isEnded = endsInTime(60) {
      for round in 0..<20 {
        let plan = FaultyQueue.Plan(share: 0.5, faults: [.delay], seed: UInt64(round))
        guard let (store, _) = try? pack.store(slots: 18, reading: reading, plan: plan) else {
          Issue.record("the store did not start")
          return
        }
        store.warm(Self.all)
        if round % 2 == 0 { usleep(UInt32(round) * 100) }
      }
    }
    #expect(isEnded)
  }

  @Test("experts that the pack has not are left out")
  func strangers() throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 18)
    store.warm(
      [(-1, 0), (3, 0), (0, 6), (0, -1), (2, 5)].map { ExpertID(layer: $0, expert: $1) })
    settle(store, 1)
    #expect(store.hotExperts == [ExpertID(layer: 2, expert: 5)])
  }
}
