import ExpertPack
import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

/// Eight thousand faults in the store alone; the campaign of whole models is in ModelGraphTests.
@Suite("A store under thousands of faults", .serialized)
struct FaultCampaignTests {
  private struct Enough: Error {}

  /// A layer and some of its experts, in any order.
  private static func request(_ random: inout RandomBytes) -> (layer: Int, experts: [Int32]) {
    let experts = (Int32(0)..<6).shuffled(using: &random)
    return (
      Int.random(in: 0..<3, using: &random),
      Array(experts.prefix(Int.random(in: 1...6, using: &random)))
    )
  }

  /// Asks for `experts` and gives up in the middle, with reads under way and queued.
  private static func giveUp(_ store: ExpertStore, layer: Int, _ experts: [Int32], after: Int) {
    var calls = 0
    #expect(throws: Enough.self) {
      try store.withExperts(layer: layer, experts: experts) { _, expert in
        calls += 1
        guard calls > after else { return _ = try expert.slice(0) }
        throw Enough()
      }
    }
  }

  @Test("six thousand faults that pass, and readers that give up, change no byte and hang nobody")
  func passing() throws {
    var (injected, cancelled) = (0, 0)
    for (index, kind) in [PackKind.packed, .inPlace].enumerated() {
      let pack = try SyntheticPack(kind: kind)
      for (number, reading) in SyntheticPack.readings.enumerated() {
        let seed = UInt64(100 * index + number)
        let plan = FaultyQueue.Plan(
          share: 0.5, faults: FaultyQueue.Fault.allCases, seed: seed)
        let (store, queue) = try pack.store(
          slots: 2 + number % 5, reading: reading, plan: plan, verification: .always)
        let wanted = 6000 / (2 * SyntheticPack.readings.count)
        let isEnded = endsInTime(60) {
          var random = RandomBytes(seed: seed)
          while queue.injected < wanted {
            let (layer, experts) = Self.request(&random)
            if experts.count > 2, random.next() % 4 == 0 {
              Self.giveUp(store, layer: layer, experts, after: experts.count % 3)
            } else {
              #expect(throws: Never.self) { try pack.check(store, layer: layer, experts) }
            }
          }
        }
        try #require(isEnded, "\(kind), \(reading): hangs")
        injected += queue.injected
        cancelled += queue.cancelled
      }
    }
    #expect(injected >= 6000, "\(injected)")
    #expect(cancelled > 100, "\(cancelled)")
  }

  @Test("two thousand faults that stay: an error that names the place, or the right bytes")
  func lasting() throws {
    let pack = try SyntheticPack()
    let files = Dictionary(
      uniqueKeysWithValues: pack.pack.files.enumerated().map { ($1.path, $0) })
    var (injected, errors, seed) = (0, 0, UInt64(0))
    while injected < 2000 {
      let reading = SyntheticPack.readings[Int(seed) % SyntheticPack.readings.count]
      let plan = FaultyQueue.Plan(
        share: 0.03, faults: FaultyQueue.Fault.allCases, isForever: true, seed: seed)
      let (store, queue) = try pack.store(
        slots: 2 + Int(seed) % 5, reading: reading, plan: plan, verification: .always)
      let found = Monitor(0)
      let isEnded = endsInTime(60) { [seed] in
        var random = RandomBytes(seed: seed)
        for _ in 0..<24 {
          let (layer, experts) = Self.request(&random)
          do {
            try pack.check(store, layer: layer, experts)
          } catch {
            found.withLock { $0 += 1 }
            guard let place = (error as? ExpertStoreError)?.place else {
              Issue.record("\(error) names no place")
              continue
            }
            #expect(place.layer == layer && experts.contains(Int32(place.expert)))
            let placement = pack.pack.placement(layer: place.layer, expert: place.expert)
            let read = placement.reads[place.slice]
            #expect(files[place.file] == read.file)
            let bytes = read.offset..<read.offset + UInt64(read.length)
            #expect(queue.isBroken(place.file, bytes), "\(error) where nothing is wrong")
            #expect(
              "\(error)".contains(
                "layer \(layer), expert \(place.expert), slice \(place.slice): "))
            #expect(!store.isResident(layer: layer, expert: place.expert))
          }
        }
      }
      try #require(isEnded, "seed \(seed): hangs")
      injected += queue.injected
      errors += found.withLock { $0 }
      seed += 1
    }
    #expect(errors > 200, "\(errors)")
  }
}
