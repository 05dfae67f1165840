/// Chooses tokens: greedily, or at random among those that top-k, top-p and min-p leave.
///
/// The same settings and logits give the same tokens on every platform. One sampler serves one
/// text at a time; it keeps a buffer of the vocabulary's size and allocates nothing after the
/// first token.
public struct Sampler: Sendable {
  /// How tokens are chosen.
  public let settings: SamplerSettings
  private var random: RandomSource
  /// Natural logarithm of min-p, from which logits are compared.
  private let minLogit: Float
  /// The tokens that are still in the running.
  private var candidates: [Candidate] = []

  struct Candidate {
    var logit: Float
    var id: Int32

    /// More probable, or equally probable with a lower id.
    @inline(__always)
    func precedes(_ other: Candidate) -> Bool {
      logit > other.logit || (logit == other.logit && id < other.id)
    }
  }

  /// A sampler at the start of its random numbers.
  public init(_ settings: SamplerSettings) {
    self.settings = settings
    random = RandomSource(seed: settings.seed)
    minLogit =
      settings.minP > 0
      ? Float(PortableExponential.logarithm(Double(settings.minP))) : -.infinity
  }

  /// The next token.
  ///
  /// - Parameter logits: One logit a token, by id. -infinity rules a token out.
  /// - Returns: The token's id. Among equal logits the lowest id counts as the most probable.
  /// - Complexity: O(n); plus O(k log k) for the k tokens that top-k or top-p leave.
  ///
  /// Throws `.invalidLogits` when a logit is NaN or +infinity, naming the token, and when no token
  /// is left to choose.
  public mutating func sample(_ logits: Span<Float>) throws(GenerationError) -> Int32 {
    let best = try Self.mostProbable(logits)
    guard settings.temperature > 0 else { return best.id }
    keepTopK(logits, best)
    keepTopP(best)
    keepMinP(best)
    return draw(best)
  }

  /// The lowest id with the highest logit.
  private static func mostProbable(_ logits: Span<Float>) throws(GenerationError) -> Candidate {
    var best = Candidate(logit: -.infinity, id: -1)
    // NaN compares as false with everything, so it must be looked for.
    var allOrdered = true
    for index in logits.indices {
      let logit = logits[index]
      allOrdered = allOrdered && logit < .infinity
      if logit > best.logit { best = Candidate(logit: logit, id: Int32(truncatingIfNeeded: index)) }
    }
    if !allOrdered {
      for index in logits.indices where !(logits[index] < .infinity) {
        throw GenerationError(
          .invalidLogits,
          "the logit of token \(index) is \(logits[index]), expected a finite number; "
            + "the model's weights or arithmetic are damaged")
      }
    }
    guard best.id >= 0 else {
      throw GenerationError(
        .invalidLogits, "none of \(logits.count) tokens has a logit above -infinity")
    }
    return best
  }

  /// Fills `candidates` with the top-k tokens, most probable first, or with all by id when that is
  /// all of them.
  private mutating func keepTopK(_ logits: Span<Float>, _ best: Candidate) {
    candidates.removeAll(keepingCapacity: true)
    guard settings.topK > 0, settings.topK < logits.count else {
      candidates.reserveCapacity(logits.count)
      for index in logits.indices where logits[index] > -.infinity {
        candidates.append(
          Candidate(logit: logits[index], id: Int32(truncatingIfNeeded: index)))
      }
      return
    }
    // A heap of the k best so far, the worst of them on top: most tokens cost one comparison.
    for index in logits.indices {
      let logit = logits[index]
      let candidate = Candidate(logit: logit, id: Int32(truncatingIfNeeded: index))
      if candidates.count < settings.topK {
        guard logit > -.infinity else { continue }
        candidates.append(candidate)
        if candidates.count == settings.topK { candidates.heapifyWorstFirst() }
      } else if logit > candidates[0].logit {
        candidates[0] = candidate
        candidates.siftDownWorstFirst(from: 0)
      }
    }
    candidates.sort { $0.precedes($1) }
  }

  /// Keeps the shortest run of most probable tokens whose probabilities reach top-p.
  private mutating func keepTopP(_ best: Candidate) {
    guard settings.topP < 1 else { return }
    var total = 0.0
    for candidate in candidates { total += weight(candidate, best, temperature: 1) }
    let goal = total * Double(settings.topP)
    sortMostProbable(reaching: goal, best)
    var sum = 0.0
    for index in candidates.indices {
      sum += weight(candidates[index], best, temperature: 1)
      if sum >= goal {
        candidates.removeSubrange((index + 1)...)
        return
      }
    }
  }

  /// Drops tokens that are not among the most probable ones with a weight of `goal` together, and
  /// sorts the rest. Sorting a whole vocabulary for a handful of tokens would take most of the time.
  private mutating func sortMostProbable(reaching goal: Double, _ best: Candidate) {
    var depth: Float = 4
    while candidates.count > 256, depth < 1000 {
      let floor = best.logit - depth
      var sum = 0.0
      for candidate in candidates where candidate.logit >= floor {
        sum += weight(candidate, best, temperature: 1)
      }
      if sum >= goal {
        candidates.removeAll { $0.logit < floor }
        break
      }
      depth *= 2
    }
    candidates.sort { $0.precedes($1) }
  }

  /// Keeps tokens with at least min-p of the best one's probability.
  private mutating func keepMinP(_ best: Candidate) {
    guard settings.minP > 0 else { return }
    let floor = best.logit + minLogit
    candidates.removeAll { $0.logit < floor && $0.id != best.id }
  }

  /// One of the candidates, by its probability at the temperature.
  private mutating func draw(_ best: Candidate) -> Int32 {
    let temperature = Double(settings.temperature)
    var total = 0.0
    for candidate in candidates { total += weight(candidate, best, temperature: temperature) }
    var rest = random.nextUnit() * total
    for candidate in candidates {
      rest -= weight(candidate, best, temperature: temperature)
      if rest < 0 { return candidate.id }
    }
    // Rounding may leave a remainder; it belongs to nobody in particular.
    return best.id
  }

  /// A token's probability relative to the best one's.
  @inline(__always)
  private func weight(
    _ candidate: Candidate, _ best: Candidate, temperature: Double
  ) -> Double {
    PortableExponential.exp((Double(candidate.logit) - Double(best.logit)) / temperature)
  }
}

/// A binary heap with the least probable candidate on top.
extension [Sampler.Candidate] {
  fileprivate mutating func heapifyWorstFirst() {
    for index in stride(from: count / 2 - 1, through: 0, by: -1) { siftDownWorstFirst(from: index) }
  }

  fileprivate mutating func siftDownWorstFirst(from start: Int) {
    var index = start
    let candidate = self[start]
    while true {
      var child = 2 * index + 1
      guard child < count else { break }
      if child + 1 < count, self[child].precedes(self[child + 1]) { child += 1 }
      guard candidate.precedes(self[child]) else { break }
      self[index] = self[child]
      index = child
    }
    self[index] = candidate
  }
}
