import ExpertPack
import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

@Suite("Expert store")
struct ExpertStoreTests {
  struct Shape: Sendable, CustomTestStringConvertible {
    let slots: Int
    let reading: ReadSettings
    let kind: PackKind
    var testDescription: String {
      "\(slots) slots, \(reading.backend) \(reading.depth), split \(reading.split), \(kind)"
    }
  }

  static let shapes: [Shape] = [1, 2, 5, 18].flatMap { slots in
    SyntheticPack.readings.flatMap { reading in
      [PackKind.packed, .inPlace].map { Shape(slots: slots, reading: reading, kind: $0) }
    }
  }

  /// Requests of every length, repeated and interleaved over the layers.
  static let requests: [(layer: Int, experts: [Int32])] = {
    var random = RandomBytes(seed: 7)
    return (0..<30).map { step in
      let all = (0..<6).map { Int32($0) }.shuffled(using: &random)
      return (step % 3, Array(all.prefix(Int.random(in: 0...6, using: &random))))
    }
  }()

  @Test(
    "every byte served is the source's, for any number of slots, backend, depth and split",
    arguments: shapes)
  func served(_ shape: Shape) throws {
    let pack = try SyntheticPack(kind: shape.kind)
    let store = try pack.store(slots: shape.slots, reading: shape.reading)
    #expect(store.slotCount == shape.slots)
    #expect(store.reading == shape.reading)
    for (step, request) in Self.requests.enumerated() {
      if step.isMultiple(of: 3) {
        try pack.checkChunk(store, layer: request.layer, request.experts)
      } else {
        try pack.check(store, layer: request.layer, request.experts, threads: step % 4 + 1)
      }
    }
    let statistics = store.statistics
    #expect(statistics.expertsRequested == Self.requests.reduce(0) { $0 + $1.experts.count })
    #expect(statistics.expertsRequested == statistics.hits + statistics.expertsRead)
  }

  @Test(
    "what is evicted depends on the requests, not on backend, depth or timing",
    arguments: [2, 5, 11], CachePolicy.allCases)
  func deterministic(_ slots: Int, policy: CachePolicy) throws {
    let pack = try SyntheticPack()
    let runs = try SyntheticPack.readings.filter { $0.split == 4 }.map { reading in
      let store = try pack.store(slots: slots, reading: reading, policy: policy)
      // Any number of threads in any order: what is done is given back in turn.
      for request in Self.requests {
        try pack.check(store, layer: request.layer, request.experts, threads: 3)
        try pack.checkChunk(store, layer: request.layer, request.experts.sorted())
      }
      var statistics = store.statistics
      statistics.disk = DiskActivity()
      return statistics
    }
    for run in runs { #expect(run == runs[0]) }
  }

  @Test("the least recently used expert makes room, whatever its layer")
  func leastRecentlyUsed() throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 3, policy: .lru)
    try pack.check(store, layer: 0, [0])
    try pack.check(store, layer: 1, [0])
    try pack.check(store, layer: 2, [0])
    try pack.check(store, layer: 0, [0])
    try pack.check(store, layer: 0, [5])
    #expect(store.isResident(layer: 0, expert: 0))
    #expect(!store.isResident(layer: 1, expert: 0))
    #expect(store.isResident(layer: 2, expert: 0))
    #expect(store.statistics.hits == 1)
  }

  @Test("experts in a slot come first, in the order asked for")
  func order() throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 18)
    try pack.check(store, layer: 0, [4, 1])
    #expect(try pack.check(store, layer: 0, [0, 1, 3, 4, 2]).prefix(2) == [1, 4])
    #expect(try pack.check(store, layer: 0, [5, 0, 1, 2, 3, 4]) == [0, 1, 2, 3, 4, 5])
  }

  @Test("with room for all, nothing is read twice, and statistics subtract")
  func readOnce() throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 18)
    for layer in 0..<3 { try pack.check(store, layer: layer, [0, 1, 2, 3, 4, 5]) }
    let first = store.statistics
    #expect(first.expertsRead == 18)
    #expect(first.reads == 72)
    #expect(first.bytesRead == first.verifiedBytes)
    #expect(first.bytesRead == pack.pack.files.reduce(0) { $0 + Int($1.byteCount) })
    for layer in 0..<3 { try pack.check(store, layer: layer, [3, 0, 5]) }
    let second = store.statistics - first
    #expect(second.expertsRequested == 9)
    #expect(second.hits == 9)
    #expect(second.reads == 0)
    #expect(second.hitRate == 1)
  }

  @Test("a pool is never larger than the experts there are")
  func capped() throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 1000)
    #expect(store.slotCount == 18)
    #expect(store.memoryByteCount == 18 * store.slotBytes)
    #expect(store.slotBytes % 16384 == 0)
  }

  @Test("fewer slots than a token needs are refused with the numbers")
  func tooFew() throws {
    let pack = try SyntheticPack()
    let error = #expect(throws: ExpertStoreError.self) {
      try pack.store(slots: 3, minimum: 4)
    }
    #expect(error?.code == .tooFewSlots)
    let bytes = 4 * ExpertStore.slotBytes(of: ExpertSource(pack: pack.pack))
    #expect(error?.message.hasSuffix("give at least \(bytes) bytes for experts") == true)
  }

  @Test("checksums are computed as often as asked", arguments: ReadVerification.allCases)
  func verification(_ verification: ReadVerification) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 1, verification: verification)
    try pack.check(store, layer: 0, [0, 1])
    let first = store.statistics
    #expect(first.verifiedBytes == (verification == .off ? 0 : first.bytesRead))
    try pack.check(store, layer: 0, [0, 1])
    let second = store.statistics - first
    // The expert computed last is still there, and comes first.
    #expect(second.bytesRead * 2 == first.bytesRead)
    #expect(second.verifiedBytes == (verification == .always ? second.bytesRead : 0))
  }

  @Test(
    "a split changes how many reads there are, not what they bring",
    arguments: [
      (1, 18), (2, 36), (4, 72), (8, 144),
    ])
  func split(_ split: Int, reads: Int) throws {
    let pack = try SyntheticPack()
    for backend in ReadBackend.allCases where backend.isAvailable {
      let reading = ReadSettings(backend: backend, depth: 4, split: split)
      let store = try pack.store(slots: 18, reading: reading)
      for layer in 0..<3 { try pack.check(store, layer: layer, [0, 1, 2, 3, 4, 5]) }
      let statistics = store.statistics
      #expect(statistics.reads == reads)
      #expect(statistics.bytesRead == pack.pack.files.reduce(0) { $0 + Int($1.byteCount) })
      #expect(statistics.verifiedBytes == statistics.bytesRead)
      #expect(statistics.rereads == 0)
    }
  }

  @Test(
    "several users of the smallest store do not lock each other out",
    arguments: SyntheticPack.readings)
  func concurrent(_ reading: ReadSettings) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 2, reading: reading)
    concurrently(4) { user in
      for request in Self.requests {
        #expect(throws: Never.self) {
          let layer = (request.layer + user) % 3
          if user.isMultiple(of: 2) {
            try pack.check(store, layer: layer, request.experts)
          } else {
            try pack.checkChunk(store, layer: layer, request.experts)
          }
        }
      }
    }
    let statistics = store.statistics
    #expect(statistics.expertsRequested == statistics.hits + statistics.expertsRead)
  }
}
