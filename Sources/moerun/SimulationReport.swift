import CommandSupport
import ExpertStore
import Replay

/// What `simulate` says.
struct SimulationReport: Encodable {
  /// Requests of a phase.
  struct Count: Encodable {
    let tokens: Int
    let requests: Int
    let hits: Int
    let misses: Int
    let hitRate: Double
    let bytesRead: Int
    let bytesPerToken: Int

    init(_ count: CacheOutcome.Count, tokens: Int) {
      self.tokens = tokens
      requests = count.requests
      hits = count.hits
      misses = count.misses
      hitRate = count.hitRate
      bytesRead = count.bytesRead
      bytesPerToken = tokens == 0 ? 0 : count.bytesRead / tokens
    }
  }

  /// A budget and a policy, or the optimum.
  struct Result: Encodable {
    let slots: Int
    let budgetBytes: Int
    let policy: String
    /// What named experts to read ahead; nil, and so are the figures below, when nothing did.
    let predictor: String?
    let prefill: Count
    let decode: Count
    let prefetchedExperts: Int?
    let prefetchUsefulShare: Double?
    let prefetchBytes: Int?

    init(
      _ requests: ExpertRequests, slots: Int, policy: String, prefetch: PrefetchChoice = .off,
      outcome: CacheOutcome
    ) {
      let isAhead = prefetch != .off
      predictor = isAhead ? prefetch.rawValue : nil
      prefetchedExperts = isAhead ? outcome.ahead.experts : nil
      prefetchUsefulShare = isAhead ? outcome.ahead.usefulShare : nil
      prefetchBytes = isAhead ? outcome.ahead.bytesRead : nil
      self.slots = slots
      budgetBytes = slots * requests.slotBytes
      self.policy = policy
      prefill = Count(outcome.prefill, tokens: requests.tokens.prefill)
      decode = Count(outcome.decode, tokens: requests.tokens.decode)
    }

    /// The policy, and what named experts to read ahead.
    var name: String { predictor.map { "\(policy) + \($0)" } ?? policy }
  }

  /// How much of what a token uses could have been guessed.
  struct Predictor: Encodable {
    let name: String
    let recall: Double
  }

  let model: String
  let architecture: String
  let layers: Int
  let expertsPerLayer: Int
  let expertsUsed: Int
  let promptTokens: Int
  let decodeTokens: Int
  let batch: Int
  let slotBytes: Int
  let results: [Result]
  let predictors: [Predictor]

  init(trace: RoutingTrace, requests: ExpertRequests, results: [Result]) {
    model = trace.model
    architecture = trace.architecture
    layers = trace.layers.count
    expertsPerLayer = trace.expertCount
    expertsUsed = trace.usedCount
    promptTokens = requests.tokens.prefill
    decodeTokens = requests.tokens.decode
    batch = requests.batch
    slotBytes = requests.slotBytes
    self.results = results
    let prefetch = PrefetchReplay(trace)
    predictors =
      prefetch.used == 0
      ? []
      : [
        Predictor(name: "previous-token", recall: prefetch.previousTokenRecall),
        Predictor(name: "popularity", recall: prefetch.popularityRecall),
      ]
  }

  /// The phase that the table and the chart tell of.
  private func shown(_ result: Result) -> Count {
    decodeTokens > 0 ? result.decode : result.prefill
  }

  private var experts: Int { layers * expertsPerLayer }

  var text: String {
    let isAhead = results.contains { $0.predictor != nil }
    var table = TextTable(
      ["budget", "slots", "share", "policy", "hit rate", "misses", "bytes/token", "optimum"]
        + (isAhead ? ["ahead/token", "of use"] : []),
      right: [0, 1, 2, 4, 5, 6, 7, 8, 9])
    var optimum: [Int: Double] = [:]
    for result in results where result.policy == "optimum" {
      optimum[result.slots] = shown(result).hitRate
    }
    for result in results where result.policy != "optimum" {
      let count = shown(result)
      table.add(
        [
          ByteSize.text(UInt64(result.budgetBytes)), "\(result.slots)",
          Self.percent(Double(result.slots) / Double(max(experts, 1))), result.name,
          Self.percent(count.hitRate), "\(count.misses)",
          ByteSize.text(UInt64(count.bytesPerToken)),
          optimum[result.slots].map(Self.percent) ?? "",
        ] + (isAhead ? ahead(result) : []))
    }
    let phase = decodeTokens > 0 ? "\(decodeTokens) generated tokens" : "the prompt"
    var lines = [
      "\(model): \(architecture), \(layers) layers of \(expertsPerLayer) experts, \(expertsUsed) "
        + "used a token, \(ByteSize.text(UInt64(slotBytes))) a slot",
      "\(phase) after \(promptTokens) of prompt, \(batch) at a time", "", table.text,
    ]
    if decodeTokens == 0 { lines[1] = "\(promptTokens) tokens of prompt, \(batch) at a time" }
    if !predictors.isEmpty {
      lines.append("")
      let recalls = predictors.map { "\($0.name) \(Self.percent($0.recall))" }
      lines.append(
        "experts of a token and layer known beforehand: " + recalls.joined(separator: ", "))
    }
    return lines.joined(separator: "\n")
  }

  /// Bytes read ahead for a token, and how many of the experts were of use.
  private func ahead(_ result: Result) -> [String] {
    guard let bytes = result.prefetchBytes, let share = result.prefetchUsefulShare else {
      return ["", ""]
    }
    return [ByteSize.text(UInt64(bytes / max(decodeTokens, 1))), Self.percent(share)]
  }

  private static func percent(_ share: Double) -> String { "\(decimal(share * 100, 1)) %" }

  /// Hit rate against memory, a line a policy.
  var chart: LineChart {
    var names: [String] = []
    for result in results where !names.contains(result.name) { names.append(result.name) }
    return LineChart(
      title: "\(model): expert cache hit rate", xTitle: "memory for experts, GiB",
      yTitle: decodeTokens > 0 ? "hit rate of generated tokens, %" : "hit rate of the prompt, %",
      series: names.map { name in
        LineChart.Series(
          name: name,
          points: results.filter { $0.name == name }.map {
            (Double($0.budgetBytes) / 1_073_741_824, shown($0).hitRate * 100)
          })
      })
  }
}
