import ArgumentParser
import CommandSupport
import ExpertStore
import FileIO
import Replay

struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Replay recorded routing through caches of several sizes.",
    discussion: """
      Every budget and policy is given the same requests, with the engine's own bookkeeping, and \
      the optimum (Belady's, which knows the future) is computed beside them. The numbers are those \
      of generated tokens, after the prompt has filled the cache; a trace without generated tokens \
      is told by its prompt. Budgets count slots of experts alone. Example:

        moerun simulate run.csv --budget 2GiB 4GiB 8GiB --policy lru,crf --svg run.svg
      """)

  @Argument(help: "The trace, as moerun trace writes it.", completion: .file(extensions: ["csv"]))
  var trace: String

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Memory for experts. (default: 1/16 to 3/4 of all experts)", valueName: "size"))
  var budget: [ByteSize] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Experts to hold, instead of --budget.", valueName: "n"))
  var slots: [Int] = []

  @Option(help: ArgumentHelp("Policies to replay.", valueName: "list"))
  var policy = PolicyList.all

  @Option(
    help: ArgumentHelp(
      """
      Also replay with experts read ahead on the word of previous-token or popularity, as if the \
      disk always had the time for it: the most that the predictor can bring.
      """, valueName: "name"))
  var predictor: PrefetchChoice?

  @Option(
    help: ArgumentHelp(
      "Tokens of a prompt evaluated at a time. (default: the trace's, or 512)", valueName: "n"))
  var batch: Int?

  @Flag(help: "Print JSON.")
  var json = false

  @Option(help: "Draw hit rate against memory into this file.", completion: .file())
  var svg: String?

  func validate() throws {
    guard budget.isEmpty || slots.isEmpty else {
      throw ValidationError("give either --budget or --slots")
    }
    if let wrong = slots.first(where: { !(1...RoutingTrace.Limit.experts).contains($0) }) {
      throw ValidationError("--slots takes 1 to \(RoutingTrace.Limit.experts), found \(wrong)")
    }
    if predictor == .nextLayerRouter || predictor == .auto {
      throw ValidationError(
        "--predictor \(predictor?.rawValue ?? ""): the next layer's router needs the states that it "
          + "is applied to, and a trace has none; give previous-token or popularity, or measure with "
          + "moerun bench --prefetch")
    }
    if let batch, !(1...RoutingTrace.Limit.steps).contains(batch) {
      throw ValidationError("--batch takes 1 to \(RoutingTrace.Limit.steps), found \(batch)")
    }
  }

  /// Most bytes of a trace: its rows take about three times that in memory.
  private static let maximumBytes = 1 << 30

  func run() throws {
    try runCommand("moerun") {
      let bytes = try File.contents(
        trace == "-" ? "/dev/stdin" : trace, atMost: Self.maximumBytes)
      let trace = try RoutingTrace(csv: bytes, path: self.trace)
      let requests = ExpertRequests(trace, batch: batch)
      let slots = try slotCounts(requests)
      let prefetches = predictor.map { $0 == .off ? [.off] : [.off, $0] } ?? [.off]
      var results: [SimulationReport.Result] = []
      for count in slots {
        let optimum = OptimalCache.run(requests, slotCount: count)
        for policy in policy.policies {
          for prefetch in prefetches {
            results.append(
              SimulationReport.Result(
                requests, slots: count, policy: policy.rawValue, prefetch: prefetch,
                outcome: CacheSimulation.run(
                  requests, policy: policy, slotCount: count, prefetch: prefetch)))
          }
        }
        results.append(
          SimulationReport.Result(requests, slots: count, policy: "optimum", outcome: optimum))
      }
      let report = SimulationReport(trace: trace, requests: requests, results: results)
      if let svg { try AtomicFile.write(Array(report.chart.svg.utf8), to: svg) }
      if json { try Console.json(report) } else { Console.line(report.text) }
    }
  }

  /// Slots of every budget, without repetition, no more than there are experts.
  private func slotCounts(_ requests: ExpertRequests) throws -> [Int] {
    let all = requests.layerCount * requests.expertCount
    var counts = slots
    for size in budget {
      let count = size.bytes / UInt64(requests.slotBytes)
      guard count > 0 else {
        throw ValidationError(
          "--budget \(ByteSize.text(size.bytes)): an expert takes "
            + ByteSize.text(UInt64(requests.slotBytes)))
      }
      counts.append(Int(min(count, UInt64(all))))
    }
    if counts.isEmpty { counts = [1, 2, 3, 4, 6, 8, 12].map { max(1, all * $0 / 16) } }
    return Set(counts.map { min($0, all) }).sorted()
  }
}

/// Policies as a user lists them: `lru,crf`.
struct PolicyList: ExpressibleByArgument {
  let policies: [CachePolicy]

  static let all = PolicyList(policies: [.lru, .crf, .auto])

  private init(policies: [CachePolicy]) { self.policies = policies }

  init?(argument: String) {
    var policies: [CachePolicy] = []
    for name in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let policy = CachePolicy(rawValue: String(name)) else { return nil }
      if !policies.contains(policy) { policies.append(policy) }
    }
    self.policies = policies
  }

  var defaultValueDescription: String { policies.map(\.rawValue).joined(separator: ",") }
}
