import ExpertPack
import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

@Suite("Reads ahead that go wrong")
struct PrefetchFaultTests {
  /// Waits until reads ahead have ended one way or another.
  private func settle(_ store: ExpertStore, until isDone: (StoreStatistics) -> Bool) -> Bool {
    for _ in 0..<5000 {
      if isDone(store.statistics) { return true }
      usleep(1000)
    }
    return false
  }

  @Test(
    "what goes wrong ahead of demand is dropped without a word and read again on demand",
    arguments: [FaultyQueue.Fault.ioError, .short, .flip])
  func dropped(_ fault: FaultyQueue.Fault) throws {
    let pack = try SyntheticPack()
    for reading in SyntheticPack.readings {
      let plan = FaultyQueue.Plan(share: 1, faults: [fault], isForever: true)
      let (store, queue) = try pack.store(slots: 6, reading: reading, plan: plan)
      store.prefetch(layer: 1, experts: [3])
      #expect(settle(store) { _ in !store.isResident(layer: 1, expert: 3) })
      #expect(store.statistics.rereads == 0)
      let error = #expect(throws: ExpertStoreError.self) { try pack.check(store, layer: 1, [3]) }
      #expect(error?.place?.layer == 1 && error?.place?.expert == 3)
      queue.heal()
      try pack.check(store, layer: 1, [3, 0])
      let prefetch = store.statistics.prefetch
      #expect(prefetch.usefulBytes == 0 && prefetch.wastedBytes == prefetch.bytes)
    }
  }

  @Test(
    "random guesses beside random requests and faults: every byte is right, every byte accounted for",
    arguments: SyntheticPack.readings)
  func random(_ reading: ReadSettings) throws {
    for (round, kind) in [PackKind.packed, .inPlace, .packed].enumerated() {
      let pack = try SyntheticPack(kind: kind)
      let plan = FaultyQueue.Plan(
        share: round == 2 ? 0 : 0.3, faults: FaultyQueue.Fault.allCases, seed: UInt64(round))
      let (store, _) = try pack.store(
        slots: 8, reading: reading, plan: plan, verification: .always)
      let isEnded = endsInTime(60) {
        let random = Monitor(RandomBytes(seed: 3))
        let guess: @Sendable () -> Void = {
          let (layer, experts, pause) = random.withLock { random in
            let all = (0..<6).map { Int32($0) }.shuffled(using: &random)
            let pause = random.next() % 4 == 0 ? UInt32(random.next() % 500) : 0
            return (Int(random.next() % 3), Array(all.prefix(4)), pause)
          }
          store.prefetch(layer: layer, experts: experts)
          if pause > 0 { usleep(pause) }
        }
        for request in ExpertStoreTests.requests + ExpertStoreTests.requests {
          guess()
          #expect(throws: Never.self) {
            try pack.check(
              store, layer: request.layer, request.experts, threads: 2, meanwhile: guess)
          }
          guess()
          #expect(throws: Never.self) {
            try pack.checkChunk(
              store, layer: request.layer, request.experts.sorted(), meanwhile: guess)
          }
        }
        // All guesses have gone once six experts of every layer have been asked for in eight slots.
        for layer in [0, 1, 2] {
          #expect(throws: Never.self) {
            try pack.check(store, layer: layer, [0, 1, 2, 3, 4, 5])
          }
        }
      }
      #expect(isEnded)
      let statistics = store.statistics
      #expect(statistics.expertsRequested == statistics.hits + statistics.expertsRead)
      let prefetch = statistics.prefetch
      #expect(prefetch.experts > 0)
      #expect(
        settle(store) { $0.prefetch.usefulBytes + $0.prefetch.wastedBytes == $0.prefetch.bytes })
    }
  }

  @Test("users that guess and users that do not share a store without a hang")
  func concurrent() throws {
    for reading in SyntheticPack.readings {
      let pack = try SyntheticPack()
      let plan = FaultyQueue.Plan(
        share: 0.02, faults: FaultyQueue.Fault.allCases, isForever: true)
      let (store, _) = try pack.store(
        slots: 3, reading: reading, plan: plan, verification: .always)
      let isEnded = endsInTime(60) {
        DispatchQueue.concurrentPerform(iterations: 3) { user in
          for (step, request) in ExpertStoreTests.requests.enumerated() {
            if user < 2 {
              store.prefetch(
                layer: (step + user) % 3, experts: [Int32(step % 6), Int32((step + 1) % 6)])
            }
            do {
              try pack.check(store, layer: (request.layer + user) % 3, request.experts)
            } catch {
              #expect(error is ExpertStoreError)
            }
          }
        }
      }
      #expect(isEnded)
    }
  }

  @Test("a store that goes away while it reads ahead ends that", arguments: SyntheticPack.readings)
  func deinitialized(_ reading: ReadSettings) throws {
    let pack = try SyntheticPack()
    let isEnded = endsInTime(60) {
      for round in 0..<20 {
        let plan = FaultyQueue.Plan(share: 0.5, faults: [.delay], seed: UInt64(round))
        guard let (store, _) = try? pack.store(slots: 8, reading: reading, plan: plan) else {
          Issue.record("the store did not start")
          return
        }
        store.prefetch(layer: round % 3, experts: [0, 1, 2, 3, 4, 5])
      }
    }
    #expect(isEnded)
  }
}
