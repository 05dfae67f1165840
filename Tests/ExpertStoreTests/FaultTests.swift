import ExpertPack
import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

@Suite("Reads that go wrong")
struct FaultTests {
  @Test(
    "what goes wrong once is read again, and every byte served is right",
    arguments: SyntheticPack.readings)
  func healed(_ reading: ReadSettings) throws {
    for kind in [PackKind.packed, .inPlace] {
      let pack = try SyntheticPack(kind: kind)
      let plan = FaultyQueue.Plan(share: 0.3, faults: FaultyQueue.Fault.allCases)
      let (store, queue) = try pack.store(
        slots: 5, reading: reading, plan: plan, verification: .always)
      let isEnded = endsInTime(60) {
        for request in ExpertStoreTests.requests {
          #expect(throws: Never.self) {
            try pack.check(store, layer: request.layer, request.experts, threads: 3)
            try pack.checkChunk(store, layer: request.layer, request.experts)
          }
        }
      }
      #expect(isEnded)
      #expect(queue.injected > 10)
      #expect(store.statistics.rereads > 0)
    }
  }

  @Test(
    "what goes wrong twice is an error that names the slice, and a later read may succeed",
    arguments: SyntheticPack.readings, [FaultyQueue.Fault.ioError, .short, .flip])
  func lasting(_ reading: ReadSettings, fault: FaultyQueue.Fault) throws {
    let pack = try SyntheticPack()
    let plan = FaultyQueue.Plan(share: 1, faults: [fault], isForever: true)
    let (store, queue) = try pack.store(slots: 3, reading: reading, plan: plan)
    let isEnded = endsInTime(60) {
      for layer in 0..<3 {
        for expert in Int32(0)..<6 {
          let error = #expect(throws: ExpertStoreError.self) {
            try store.withExperts(layer: layer, experts: [expert, (expert + 1) % 6]) { _, loaded in
              for index in 0..<loaded.sliceCount { _ = try loaded.slice(index) }
            }
          }
          #expect(error?.code == (fault == .ioError ? .unreadable : .damaged))
          #expect(error?.place?.layer == layer && error?.place?.expert == Int(expert))
          let place = "layer \(layer), expert \(expert), slice \(error?.place?.slice ?? -1): "
          #expect(error?.message.contains(place) == true, "\(String(describing: error))")
          #expect(!store.isResident(layer: layer, expert: Int(expert)))
        }
      }
    }
    #expect(isEnded)
    queue.heal()
    for layer in 0..<3 { try pack.check(store, layer: layer, [5, 4, 3, 2, 1, 0]) }
  }

  @Test("one flipped bit costs one second read", arguments: [1, 2, 4, 8])
  func once(_ split: Int) throws {
    let pack = try SyntheticPack()
    let reading = ReadSettings(backend: .pread, depth: 3, split: split)
    let plan = FaultyQueue.Plan(share: 1, faults: [.flip])
    let (store, queue) = try pack.store(slots: 1, reading: reading, plan: plan)
    try pack.check(store, layer: 0, [2])
    #expect(queue.injected == max(store.statistics.rereads, split))
    #expect(store.statistics.rereads == min(split, 4))
    #expect(store.statistics.verifiedBytes == pack.pack.expertLayers[0].geometry.recordStride)
  }

  @Test("users that fail and users that do not share a store without a hang")
  func concurrent() throws {
    for reading in SyntheticPack.readings {
      let pack = try SyntheticPack()
      let plan = FaultyQueue.Plan(
        share: 0.02, faults: FaultyQueue.Fault.allCases, isForever: true)
      let (store, _) = try pack.store(
        slots: 3, reading: reading, plan: plan, verification: .always)
      let isEnded = endsInTime(60) {
        concurrently(3) { user in
          for request in ExpertStoreTests.requests {
            do {
              let layer = (request.layer + user) % 3
              if user == 0 {
                try pack.checkChunk(store, layer: layer, request.experts)
              } else {
                try pack.check(store, layer: layer, request.experts, threads: user)
              }
            } catch {
              #expect(error is ExpertStoreError)
            }
          }
        }
      }
      #expect(isEnded)
    }
  }

  @Test("a store that goes away with reads under way ends them", arguments: SyntheticPack.readings)
  func deinitialized(_ reading: ReadSettings) throws {
    struct Enough: Error {}
    let pack = try SyntheticPack()
    let isEnded = endsInTime(60) {
      for round in 0..<10 {
        let plan = FaultyQueue.Plan(share: 0.5, faults: [.delay], seed: UInt64(round))
        guard let (store, _) = try? pack.store(slots: 6, reading: reading, plan: plan) else {
          Issue.record("the store did not start")
          return
        }
        #expect(throws: Enough.self) {
          try store.withExperts(layer: 1, experts: [0, 1, 2, 3, 4, 5]) { _, _ in throw Enough() }
        }
      }
    }
    #expect(isEnded)
  }
}
