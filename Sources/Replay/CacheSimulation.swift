public import ExpertStore

/// What a cache of some size did with the requests of a trace.
public struct CacheOutcome: Sendable, Equatable {
  /// Requests of a phase.
  public struct Count: Sendable, Equatable {
    /// Experts asked for.
    public var requests = 0
    /// Those of them that were held.
    public var hits = 0
    /// Bytes of the others.
    public var bytesRead = 0

    /// Experts read.
    public var misses: Int { requests - hits }
    /// Share of requests that needed no read; 1 when there were none.
    public var hitRate: Double { requests == 0 ? 1 : Double(hits) / Double(requests) }

    /// Nothing yet.
    public init() {}

    mutating func add(requests: Int, hits: Int, expertBytes: Int) {
      self.requests += requests
      self.hits += hits
      bytesRead += (requests - hits) * expertBytes
    }
  }

  /// Experts read before they were asked for, not counted as reads of a phase.
  public struct Ahead: Sendable, Equatable {
    /// Experts read ahead.
    public internal(set) var experts = 0
    /// Those of them that were asked for before they were evicted.
    public internal(set) var useful = 0
    /// Those of them that were not.
    public internal(set) var wasted = 0
    /// Bytes of all of them.
    public internal(set) var bytesRead = 0

    /// Share of the experts that were of use; 0 when there were none.
    public var usefulShare: Double { experts == 0 ? 0 : Double(useful) / Double(experts) }

    /// Nothing yet.
    public init() {}
  }

  /// Requests of prompts.
  public internal(set) var prefill = Count()
  /// Requests of generated tokens.
  public internal(set) var decode = Count()
  /// What was read ahead of demand, for generated tokens alone.
  public internal(set) var ahead = Ahead()

  /// Both phases.
  public var total: Count {
    var sum = prefill
    sum.requests += decode.requests
    sum.hits += decode.hits
    sum.bytesRead += decode.bytesRead
    return sum
  }

  /// Nothing yet.
  public init() {}

  mutating func add(_ pass: ExpertRequests.Pass, hits: Int, expertBytes: Int) {
    switch pass.phase {
    case .prefill:
      prefill.add(requests: pass.experts.count, hits: hits, expertBytes: expertBytes)
    case .decode:
      decode.add(requests: pass.experts.count, hits: hits, expertBytes: expertBytes)
    }
  }
}

/// A trace replayed through the bookkeeping of the engine's own cache, without reading anything.
public enum CacheSimulation {
  /// Replays `requests` through an empty cache.
  ///
  /// Pinning, serving order and eviction are the store's: ``ExpertStore/ExpertStore`` given the same
  /// passes by one user counts the same hits.
  /// - Parameters:
  ///   - requests: The passes of a trace.
  ///   - policy: Which expert makes room.
  ///   - slotCount: Experts held at once, at least 1; more than there are counts as all.
  ///   - prefetch: What names experts to read ahead for every layer of a generated token; the disk
  ///     has the time for all of them, so that this is the most that the predictor can bring. A trace
  ///     has no states, so that predictors that go by the next layer's router name nothing.
  /// - Returns: Requests, hits and bytes, by phase.
  public static func run(
    _ requests: ExpertRequests, policy: CachePolicy, slotCount: Int,
    prefetch: PrefetchChoice = .off
  ) -> CacheOutcome {
    var directory = CacheDirectory(
      policy: policy, slotCount: min(max(slotCount, 1), requests.keyCount),
      keyCount: requests.keyCount, layerCount: requests.layerCount,
      largestPass: requests.expertCount)
    var outcome = CacheOutcome()
    var predictor = prefetch.makePredictor(
      layerCount: requests.expertBytes.count, expertCount: requests.expertCount,
      usedCount: requests.usedCount)
    let capacity = min(slotCount, requests.keyCount) - requests.usedCount
    var predicted: [Int32] = []
    for pass in requests.passes {
      let firstKey = requests.firstKey(pass.layer)
      if let predictor, pass.phase == .decode {
        predictor.predict(layer: pass.layer, count: requests.usedCount, into: &predicted)
        let before = directory.ahead.experts
        directory.prefetch(
          predicted, firstKey: firstKey, capacity: max(0, capacity))
        outcome.ahead.bytesRead +=
          (directory.ahead.experts - before) * requests.expertBytes[pass.layer]
      }
      let hits =
        pass.isChunk
        ? directory.serveChunk(pass.experts, firstKey: firstKey)
        : directory.serve(pass.experts, firstKey: firstKey)
      outcome.add(pass, hits: hits, expertBytes: requests.expertBytes[pass.layer])
      guard predictor != nil else { continue }
      for token in pass.tokens {
        predictor?.learn(requests.choices[requests.tokenChoices[token]], layer: pass.layer)
      }
    }
    (outcome.ahead.experts, outcome.ahead.useful, outcome.ahead.wasted) = directory.ahead
    return outcome
  }
}
