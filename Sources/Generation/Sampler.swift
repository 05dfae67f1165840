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
  /// Those of them about where a filter cuts.
  private var edge: [Candidate] = []
  /// Sums of weights by distance from the best logit.
  private var bins = [Double](repeating: 0, count: binCount)
  private static let binCount = 2048

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
  /// - Throws: `.invalidLogits` when a logit is NaN or +infinity, naming the token, and when no
  ///   token is left to choose.
  /// - Complexity: O(n), as long as logits are not all but equal.
  public mutating func sample(_ logits: Span<Float>) throws(GenerationError) -> Int32 {
    let best = try Self.mostProbable(logits)
    guard settings.temperature > 0 else { return best.id }
    fillCandidates(logits, best)
    if settings.topP < 1 { keepMostProbable(best, .probability(Double(settings.topP))) }
    if settings.minP > 0 {
      let floor = best.logit + minLogit
      candidates.removeAll { $0.logit < floor && $0.id != best.id }
    }
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

  /// All tokens that are not ruled out, or the top-k of them, by id.
  private mutating func fillCandidates(_ logits: Span<Float>, _ best: Candidate) {
    candidates.removeAll(keepingCapacity: true)
    let topK = settings.topK
    guard topK > 0, topK < logits.count else {
      candidates.reserveCapacity(logits.count)
      for index in logits.indices where logits[index] > -.infinity {
        candidates.append(Candidate(logit: logits[index], id: Int32(truncatingIfNeeded: index)))
      }
      return
    }
    // Whenever this many have gathered, the k best of them set a floor for the rest.
    let limit = topK < logits.count / 4 ? 2 * topK + 2048 : logits.count
    candidates.reserveCapacity(limit)
    var floor = -Float.infinity
    for index in logits.indices where logits[index] > floor {
      candidates.append(Candidate(logit: logits[index], id: Int32(truncatingIfNeeded: index)))
      guard candidates.count == limit else { continue }
      keepMostProbable(best, .count(topK))
      floor = candidates.reduce(best.logit) { min($0, $1.logit) }
    }
    if candidates.count > topK { keepMostProbable(best, .count(topK)) }
  }

  /// What the most probable candidates are to reach together.
  private enum Goal {
    case count(Int)
    /// A share of the probability of all candidates.
    case probability(Double)
  }

  /// Keeps the fewest most probable candidates that reach `goal`, in order of id.
  ///
  /// Only those about where the goal is reached are sorted: sorting a whole vocabulary would take
  /// tens of milliseconds. The rest is summed in bins by distance from the best logit.
  private mutating func keepMostProbable(_ best: Candidate, _ goal: Goal) {
    for bin in bins.indices { bins[bin] = 0 }
    let target: Double
    switch goal {
    case .count(let count):
      for candidate in candidates { bins[Self.bin(candidate, best)] += 1 }
      target = Double(count)
    case .probability(let share):
      for candidate in candidates {
        bins[Self.bin(candidate, best)] += Self.weight(candidate, best, temperature: 1)
      }
      target = bins.reduce(0, +) * share
    }
    var sum = 0.0
    var edgeBin = 0
    // All bins together reach the target, so that the last one needs no looking at.
    while edgeBin < bins.count - 1, sum + bins[edgeBin] < target {
      sum += bins[edgeBin]
      edgeBin += 1
    }
    edge.removeAll(keepingCapacity: true)
    for candidate in candidates where Self.bin(candidate, best) == edgeBin {
      edge.append(candidate)
    }
    edge.sort { $0.precedes($1) }
    var last = best
    for candidate in edge where sum < target {
      last = candidate
      switch goal {
      case .count: sum += 1
      case .probability: sum += Self.weight(candidate, best, temperature: 1)
      }
    }
    candidates.removeAll { last.precedes($0) }
  }

  /// The bin of a candidate: a 32nd of a natural logarithm wide, the last one open.
  @inline(__always)
  private static func bin(_ candidate: Candidate, _ best: Candidate) -> Int {
    Int(min((Double(best.logit) - Double(candidate.logit)) * 32, Double(binCount - 1)))
  }

  /// One of the candidates, by its probability at the temperature.
  private mutating func draw(_ best: Candidate) -> Int32 {
    let temperature = Double(settings.temperature)
    var total = 0.0
    for candidate in candidates { total += Self.weight(candidate, best, temperature: temperature) }
    var rest = random.nextUnit() * total
    for candidate in candidates {
      rest -= Self.weight(candidate, best, temperature: temperature)
      if rest < 0 { return candidate.id }
    }
    // Rounding may leave a remainder; it belongs to nobody in particular.
    return best.id
  }

  /// A token's probability relative to the best one's.
  @inline(__always)
  private static func weight(
    _ candidate: Candidate, _ best: Candidate, temperature: Double
  ) -> Double {
    PortableExponential.exp((Double(candidate.logit) - Double(best.logit)) / temperature)
  }
}
