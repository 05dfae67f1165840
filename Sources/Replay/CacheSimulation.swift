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

  /// Requests of prompts.
  public internal(set) var prefill = Count()
  /// Requests of generated tokens.
  public internal(set) var decode = Count()

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
  /// - Returns: Requests, hits and bytes, by phase.
  public static func run(
    _ requests: ExpertRequests, policy: CachePolicy, slotCount: Int
  ) -> CacheOutcome {
    var directory = CacheDirectory(
      policy: policy, slotCount: min(max(slotCount, 1), requests.keyCount),
      keyCount: requests.keyCount, layerCount: requests.layerCount,
      largestPass: requests.expertCount)
    var outcome = CacheOutcome()
    for pass in requests.passes {
      let firstKey = requests.firstKey(pass.layer)
      let hits =
        pass.isChunk
        ? directory.serveChunk(pass.experts, firstKey: firstKey)
        : directory.serve(pass.experts, firstKey: firstKey)
      outcome.add(pass, hits: hits, expertBytes: requests.expertBytes[pass.layer])
    }
    return outcome
  }
}
