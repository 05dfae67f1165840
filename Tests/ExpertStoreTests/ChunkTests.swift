import ExpertPack
import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

@Suite("Chunks of a prompt")
struct ChunkTests {
  private static let all: [Int32] = [0, 1, 2, 3, 4, 5]

  @Test(
    "experts come in the order given, each read at most once, whatever is held and however little",
    arguments: [1, 2, 3, 5, 9, 18], CachePolicy.allCases)
  func order(_ slots: Int, policy: CachePolicy) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: slots, policy: policy)
    for round in 0..<3 {
      for layer in 0..<3 {
        try pack.check(store, layer: layer, [4, Int32(round)])
        let before = store.statistics
        try pack.checkChunk(store, layer: layer, Self.all)
        let chunk = store.statistics - before
        #expect(chunk.expertsRequested == 6)
        #expect(chunk.hits + chunk.expertsRead == 6)
      }
    }
  }

  @Test("a chunk that does not fit leaves what was held before", arguments: CachePolicy.allCases)
  func scan(_ policy: CachePolicy) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 9, policy: policy)
    // Half of every layer: all slots.
    for layer in 0..<3 { try pack.check(store, layer: layer, [1, 3, 5]) }
    let before = store.statistics
    for _ in 0..<4 { for layer in 0..<3 { try pack.checkChunk(store, layer: layer, Self.all) } }
    let scans = store.statistics - before
    // 6 of 9 slots are the ring, the other 3 hit in every round. In any order of recency none would.
    #expect(scans.hits >= 4 * 3)
    let kept = (0..<3).reduce(0) { count, layer in
      count + [1, 3, 5].count { store.isResident(layer: layer, expert: $0) }
    }
    #expect(kept >= 3)
  }

  @Test("a chunk that fits stays, and fills empty slots first")
  func fits() throws {
    let pack = try SyntheticPack()
    let all = try pack.store(slots: 18)
    for _ in 0..<2 { for layer in 0..<3 { try pack.checkChunk(all, layer: layer, Self.all) } }
    #expect(all.statistics.expertsRead == 18)
    let some = try pack.store(slots: 11)
    for layer in 0..<3 { try pack.checkChunk(some, layer: layer, Self.all) }
    let held = (0..<3).reduce(0) { count, layer in
      count + (0..<6).count { some.isResident(layer: layer, expert: $0) }
    }
    #expect(held == 11)
  }

  @Test("reads run ahead of the expert at work")
  func ahead() throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 8)
    var residents: [Int] = []
    try store.withExperts(layer: 0, experts: Self.all) { _, expert in
      residents.append((0..<6).count { store.isResident(layer: 0, expert: $0) })
      for slice in 0..<expert.sliceCount { _ = try expert.slice(slice) }
    }
    // Two thirds of the slots are the ring; what was computed stays while there are empty slots.
    #expect(residents == [5, 6, 6, 6, 6, 6])
  }

  @Test(
    "what is read ahead for a chunk is read once, counts as read, and is right",
    arguments: [2, 3, 5, 9, 18], [true, false])
  func readAhead(_ slots: Int, isOn: Bool) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: slots, features: isOn ? .all : [.hugePages])
    for round in 0..<3 {
      for layer in 0..<3 {
        let before = store.statistics
        store.readAheadChunk(layer: layer)
        if slots >= 3 {
          // Planned experts have their slots at once, read or not.
          let planned = (0..<6).count { store.isResident(layer: layer, expert: $0) }
          if round == 0 { #expect(planned == (isOn ? min(6, slots / 3) : 0)) }
        }
        // One expert of the plan is not used after all.
        try pack.checkChunk(store, layer: layer, [0, 2, 3, 4, 5])
        let chunk = store.statistics - before
        #expect(chunk.expertsRequested == 5)
        #expect(chunk.hits + chunk.expertsRead == 5)
        #expect(chunk.prefetch.bytes == 0)
      }
    }
    // A plan that no chunk takes over does not keep a token from its experts, nor one that is ended.
    store.readAheadChunk(layer: 0)
    try pack.check(store, layer: 1, [1])
    store.readAheadChunk(layer: 2)
    store.endReadAhead()
    try pack.check(store, layer: 2, [1])
  }

  @Test("chunks of several users share the fewest slots without a hang", arguments: [1, 2, 3])
  func users(_ slots: Int) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: slots)
    let isEnded = endsInTime(60) {
      concurrently(4) { user in
        for round in 0..<12 {
          #expect(throws: Never.self) {
            try pack.checkChunk(store, layer: (round + user) % 3, Self.all)
          }
        }
      }
    }
    #expect(isEnded)
    let statistics = store.statistics
    #expect(statistics.expertsRequested == statistics.hits + statistics.expertsRead)
  }
}
