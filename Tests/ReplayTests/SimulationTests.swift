import ExpertPack
import ExpertStore
import FileIO
import GGUF
import Packer
import Replay
import TestSupport
import Testing

@Suite("Cache simulation")
struct SimulationTests {
  /// A trace of random passes: a prompt of `prompt` tokens, then `count` tokens.
  static func trace(
    seed: UInt64, layers: Int, experts: Int, used: Int, prompt: Int, count: Int, turns: Int = 1
  ) -> RoutingTrace {
    var random = RandomBytes(seed: seed)
    var trace = RoutingTrace(
      model: "m", architecture: "a", expertCount: experts, usedCount: used, batch: nil,
      layers: (0..<layers).map { .init(expertBytes: 100 + $0, denseBytes: 0) })
    for step in 0..<turns * (prompt + count) {
      for layer in 0..<layers {
        // Squaring favours low ids: popularity as real routers have it.
        var chosen: [Int] = []
        while chosen.count < used {
          let draw = Double.random(in: 0..<1, using: &random)
          let expert = Int(draw * draw * Double(experts))
          if !chosen.contains(expert) { chosen.append(expert) }
        }
        trace.append(
          turn: step / (prompt + count),
          phase: step % (prompt + count) < prompt ? .prefill : .decode, step: step, layer: layer,
          choices: chosen.map {
            .init(expert: $0, weight: 1, isResident: false, bytesRead: 0)
          })
      }
    }
    return trace
  }

  /// The most hits of any choice of what to keep after every pass, by trying all.
  static func exhaustive(_ requests: ExpertRequests, slots: Int) -> Int {
    var best: [Set<Int>: Int] = [[]: 0]
    for pass in requests.passes {
      let used = Set(pass.experts.map { pass.layer * requests.expertCount + Int($0) })
      var next: [Set<Int>: Int] = [:]
      for (cache, hits) in best {
        let total = hits + cache.intersection(used).count
        // What fits is held at the end; what does not has gone through every slot.
        let must = used.count <= slots ? used : []
        let free = must.isEmpty ? used : cache.subtracting(used)
        for kept in subsets(of: free.sorted(), count: slots - must.count) {
          let state = must.union(kept)
          next[state] = max(next[state] ?? 0, total)
        }
      }
      best = next
    }
    return best.values.max() ?? 0
  }

  /// All subsets of `count` elements, or the one of all when there are no more.
  private static func subsets(of elements: [Int], count: Int) -> [[Int]] {
    if elements.count <= count { return [elements] }
    if count == 0 { return [[]] }
    let rest = Array(elements.dropFirst())
    return subsets(of: rest, count: count - 1).map { [elements[0]] + $0 }
      + subsets(of: rest, count: count)
  }

  @Test("the optimum is that of an exhaustive search", arguments: 1...12)
  func optimum(_ seed: Int) {
    let trace = Self.trace(
      seed: UInt64(seed), layers: 2, experts: 4, used: 2, prompt: seed % 3, count: 7)
    for batch in [1, 2] {
      let requests = ExpertRequests(trace, batch: batch)
      for slots in 1...5 {
        #expect(
          OptimalCache.run(requests, slotCount: slots).total.hits
            == Self.exhaustive(requests, slots: slots), "\(slots) slots, batch \(batch)")
      }
    }
  }

  @Test("no policy is above the optimum, more slots never lower it, and all slots miss once each")
  func bounds() {
    for seed in 1...6 as ClosedRange<UInt64> {
      let requests = ExpertRequests(
        Self.trace(seed: seed, layers: 3, experts: 12, used: 3, prompt: 40, count: 60),
        batch: seed.isMultiple(of: 2) ? 4 : 10)
      var previous = -1
      for slots in 1...36 {
        let optimum = OptimalCache.run(requests, slotCount: slots).total
        #expect(optimum.hits >= previous)
        previous = optimum.hits
        for policy in CachePolicy.allCases {
          let outcome = CacheSimulation.run(requests, policy: policy, slotCount: slots).total
          #expect(outcome.hits <= optimum.hits, "\(policy), \(slots) slots")
          #expect(outcome.requests == optimum.requests)
          if slots == 36 { #expect(outcome == optimum) }
        }
      }
    }
  }

  @Test("a prompt is asked for in chunks, each layer once; tokens one at a time")
  func passes() throws {
    let trace = try RoutingTraceTests.parse(
      RoutingTraceTests.header + [
        "0,0,5,0,0,3,1,0,0", "0,0,6,0,0,1,1,0,0", "0,0,7,0,0,0,1,0,0", "0,0,7,0,1,3,1,0,0",
        "0,0,7,1,0,2,1,0,0", "0,1,9,1,0,1,1,0,0", "0,1,9,0,0,1,1,0,0", "1,0,0,0,0,2,1,0,0",
      ])
    func text(_ batch: Int) -> [String] {
      ExpertRequests(trace, batch: batch).passes.map { "\($0.layer)\($0.experts)" }
    }
    #expect(text(64) == ["0[0, 1, 3]", "1[2]", "0[1]", "1[1]", "0[2]"])
    #expect(text(2) == ["0[1, 3]", "0[0, 3]", "1[2]", "0[1]", "1[1]", "0[2]"])
    #expect(ExpertRequests(trace).tokens == (4, 1))
    #expect(ExpertRequests(trace).batch == 512)
  }

  @Test("bytes are those of the layers that missed")
  func bytes() {
    let trace = Self.trace(seed: 1, layers: 2, experts: 3, used: 3, prompt: 0, count: 2)
    let outcome = CacheSimulation.run(ExpertRequests(trace), policy: .lru, slotCount: 6)
    #expect(outcome.decode.bytesRead == 3 * 100 + 3 * 101)
    #expect(outcome.decode.hitRate == 0.5 && outcome.prefill.hitRate == 1)
  }

  @Test("prefetch recall counts what the token before, or the layer's history, knew")
  func prefetch() throws {
    let trace = try RoutingTraceTests.parse(
      RoutingTraceTests.header + [
        "0,0,0,0,0,3,1,0,0", "0,0,1,0,0,3,1,0,0", "0,0,2,0,0,1,1,0,0", "0,1,3,0,0,1,1,0,0",
        "0,1,4,0,0,3,1,0,0", "0,1,5,1,0,0,1,0,0",
      ])
    let replay = PrefetchReplay(trace)
    // Step 3: the token before used 1, history says 3. Step 4: 1 before, 1 and 3 are even: 1.
    #expect(replay.used == 2 && replay.inPreviousToken == 1 && replay.inMostPopular == 0)
    #expect(replay.previousTokenRecall == 0.5 && replay.popularityRecall == 0)
  }

  /// Serves `pass` as the engine does.
  static func serve(_ pass: ExpertRequests.Pass, _ store: ExpertStore, _ feed: SliceFeed) throws {
    if pass.isChunk {
      try store.withExperts(layer: pass.layer, experts: pass.experts) { _, expert in
        for slice in 0..<expert.sliceCount { _ = try expert.slice(slice) }
      }
    } else {
      try feed.serve(layer: pass.layer, experts: pass.experts, ownWork: 0) {
        var work = feed.next(after: nil)
        while let unit = work { work = feed.next(after: unit) }
      }
    }
  }

  @Test("a replay hits what the store hit with the same passes", arguments: CachePolicy.allCases)
  func store(_ policy: CachePolicy) throws {
    let directory = try TemporaryDirectory()
    try SyntheticModel(
      layers: [.init(experts: 16), .init(experts: 16), .init(experts: 16)]
    ).write(to: directory.file("m.gguf"))
    try PackWriter(
      source: try GGUFFile.open(directory.file("m.gguf")), kind: .packed, threads: 2
    ).write(to: directory.file("m.moepack"), overwrite: false) { _ in }
    let pack = try PackDirectory.open(directory.file("m.moepack"))
    let trace = Self.trace(seed: 9, layers: 3, experts: 16, used: 4, prompt: 20, count: 120)
    // Chunks of 9 tokens, and one of 2 that is served like tokens.
    let requests = ExpertRequests(trace, batch: 9)
    for slots in [4, 11, 24, 40] {
      let store = try ExpertStore(
        source: ExpertSource(pack: pack), slotCount: slots, policy: policy)
      let feed = SliceFeed(store)
      for pass in requests.passes { try Self.serve(pass, store, feed) }
      let outcome = CacheSimulation.run(requests, policy: policy, slotCount: slots).total
      #expect(store.statistics.hits == outcome.hits, "\(slots) slots")
      #expect(store.statistics.expertsRead == outcome.misses, "\(slots) slots")
    }
  }

  @Test(
    "with what a predictor names read ahead, a replay hits and wastes what the store did",
    arguments: CachePolicy.allCases, [PrefetchChoice.previousToken, .popularity])
  func prefetch(_ policy: CachePolicy, choice: PrefetchChoice) throws {
    let directory = try TemporaryDirectory()
    try SyntheticModel(
      layers: [.init(experts: 16), .init(experts: 16), .init(experts: 16)]
    ).write(to: directory.file("m.gguf"))
    try PackWriter(
      source: try GGUFFile.open(directory.file("m.gguf")), kind: .packed, threads: 2
    ).write(to: directory.file("m.moepack"), overwrite: false) { _ in }
    let pack = try PackDirectory.open(directory.file("m.moepack"))
    // Chunks of 9 tokens and one of 2, before and after tokens that are guessed for.
    let trace = Self.trace(
      seed: 9, layers: 3, experts: 16, used: 4, prompt: 20, count: 40, turns: 2)
    let requests = ExpertRequests(trace, batch: 9)
    for slots in [4, 11, 24] {
      let held = Monitor<HeldQueue?>(nil)
      let store = try ExpertStore(
        source: ExpertSource(pack: pack), slotCount: slots, minimumSlots: 4, reading: .standard,
        verification: .first, policy: policy
      ) { files, memory, piece in
        let queue = HeldQueue(
          try ReadSettings.standard.makeQueue(files: files, memory: memory, piece: piece),
          holding: [])
        held.withLock { $0 = queue }
        return queue
      }
      let queue = try #require(held.withLock { $0 })
      let feed = SliceFeed(store)
      var predictor = try #require(
        choice.makePredictor(layerCount: 3, expertCount: 16, usedCount: 4))
      for pass in requests.passes {
        if pass.phase == .decode {
          var experts: [Int32] = []
          predictor.predict(layer: pass.layer, count: 4, into: &experts)
          store.prefetch(layer: pass.layer, experts: experts)
          queue.waitUntilIdle()
        }
        try Self.serve(pass, store, feed)
        for token in pass.tokens {
          predictor.learn(requests.choices[requests.tokenChoices[token]], layer: pass.layer)
        }
      }
      let outcome = CacheSimulation.run(
        requests, policy: policy, slotCount: slots, prefetch: choice)
      let statistics = store.statistics
      #expect(statistics.hits == outcome.total.hits, "\(slots) slots")
      #expect(statistics.expertsRead == outcome.total.misses, "\(slots) slots")
      #expect(statistics.prefetch.experts == outcome.ahead.experts, "\(slots) slots")
      #expect(statistics.prefetch.usefulExperts == outcome.ahead.useful, "\(slots) slots")
      // With four there is no slot to spare; with many the cache has what is named.
      if slots == 4 { #expect(outcome.ahead.experts == 0) }
      if slots == 11 { #expect(outcome.ahead.useful > 0 && outcome.ahead.wasted > 0) }
      #expect(
        outcome.ahead.useful + outcome.ahead.wasted <= outcome.ahead.experts, "\(slots) slots")
    }
  }
}
