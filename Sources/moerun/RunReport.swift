import CommandSupport
import ExpertStore
import Generation
import Kernels
import ModelGraph

/// Memory of a run: what it took at most, and what it was allowed.
struct MemoryReport: Encodable {
  let peakBytes: UInt64
  let budgetBytes: UInt64
  let residentBytes: Int
  let expertSlotBytes: Int
  let expertSlots: Int
  let batchTokens: Int
  let cachePolicy: String
  let cachePolicyFollowed: String

  init(model: Model, budget: UInt64) {
    peakBytes = SystemMemory.peak
    budgetBytes = budget
    residentBytes = model.plan.demand.residentBytes
    expertSlotBytes = model.store.memoryByteCount
    expertSlots = model.store.slotCount
    batchTokens = model.batch
    cachePolicy = model.store.policy.rawValue
    cachePolicyFollowed = model.store.followedPolicy.rawValue
  }
}

/// What the JSON report of every run has, whatever was run.
struct RunFacts: Encodable {
  let expertsUsed: Int
  let modelExpertsUsed: Int
  let memory: MemoryReport
  let prefetch: String
  let io: ReadReport
  let isa: String
  /// Of an activation in products with quantised weights; 32 are floats.
  let activationBits: Int
  /// What keys and values are kept as.
  let kvType: String
  let warmExperts: Int
  let warmBytes: Int

  init(_ loaded: RunOptions.Loaded, memory: MemoryReport) {
    expertsUsed = loaded.model.config.experts.usedCount
    modelExpertsUsed = loaded.model.config.experts.modelUsedCount
    self.memory = memory
    prefetch = loaded.model.prefetch.rawValue
    io = loaded.reading
    isa = loaded.model.instructionSet.rawValue
    activationBits = loaded.model.activationBits
    kvType = loaded.model.plan.keyValueType.rawValue
    let statistics = loaded.model.store.statistics
    warmExperts = statistics.warmExperts
    warmBytes = statistics.warmBytes
  }
}

/// One JSON object with the members of a command's results and those of ``RunFacts``.
struct RunDocument<Results: Encodable>: Encodable {
  let results: Results
  let facts: RunFacts

  func encode(to encoder: any Encoder) throws {
    try results.encode(to: encoder)
    try facts.encode(to: encoder)
  }
}

/// The report that ends every run.
enum RunReport {
  /// `12 tokens, 85.3 tok/s`.
  private static func rate(_ phase: PhaseReport) -> String {
    "\(phase.tokens) tokens, \(decimal(phase.tokensPerSecond, 1)) tok/s"
  }

  /// Prints table and line to standard error.
  static func print(
    _ phases: [(name: String, report: PhaseReport)], memory: MemoryReport, model: Model
  ) {
    Console.message(table(phases))
    Console.message(line(phases, memory: memory, model: model))
  }

  /// A row a phase: what it read; how fast, for how long and with how many reads in flight the disk
  /// worked; how long compute waited for it.
  static func table(_ phases: [(name: String, report: PhaseReport)]) -> String {
    let hasWarmed = phases.contains { $0.report.warmBytes > 0 }
    let header = [
      "phase", "tokens", "tok/s", "experts", "hit rate", "from disk", "GB/s", "busy", "in flight",
      "most", "waited",
    ]
    var table = TextTable(
      header + (hasWarmed ? ["warmed"] : []), right: Set(1...header.count))
    for (name, report) in phases {
      table.add(
        [
          name, "\(report.tokens)", decimal(report.tokensPerSecond, 2),
          "\(report.expertsRequested)", "\(decimal(report.hitRate * 100, 1)) %",
          ByteSize.text(UInt64(report.bytesRead)), decimal(report.diskBytesPerSecond / 1e9, 2),
          "\(decimal(report.diskBusySeconds, 2)) s", decimal(report.meanReadsInFlight, 1),
          "\(report.maximumReadsInFlight)",
          "\(decimal(report.stallSeconds, 2)) s",
        ] + (hasWarmed ? [ByteSize.text(UInt64(report.warmBytes))] : []))
    }
    return table.text
  }

  /// Says what reading ahead has brought and cost in `phase`; nothing when it is off.
  private static func prefetch(_ phase: PhaseReport, model: Model) -> String {
    guard model.prefetch != .off else { return "" }
    func percent(_ share: Double) -> String { "\(decimal(share * 100, 1)) %" }
    return "; read ahead \(ByteSize.text(UInt64(phase.prefetchBytes))), "
      + "\(percent(phase.prefetchUsefulShare)) of it of use, "
      + "\(ByteSize.text(UInt64(phase.prefetchWastedBytes))) wasted, in "
      + "\(percent(phase.prefetchArmedShare)) of the tokens; no demand on the disk for "
      + "\(percent(phase.diskIdleShare)) of the time"
  }

  /// Says so when a token uses another number of experts than the model's own, and when activations
  /// are not those of the default.
  private static func override(_ model: Model) -> String {
    let experts = model.config.experts
    let count =
      experts.usedCount == experts.modelUsedCount
      ? ""
      : "; \(experts.usedCount) experts used a token, the model's own number is "
        + "\(experts.modelUsedCount)"
    return count + (model.activationBits == 16 ? "; activations of 16 bits" : "")
  }

  /// All phases in one line.
  static func line(
    _ phases: [(name: String, report: PhaseReport)], memory: MemoryReport, model: Model
  ) -> String {
    let reports = phases.map(\.report)
    let requested = reports.reduce(0) { $0 + $1.expertsRequested }
    let read = reports.reduce(0) { $0 + $1.expertsRead }
    let bytes = reports.reduce(0) { $0 + $1.bytesRead }
    let share = requested > 0 ? Double(requested - read) / Double(requested) * 100 : 100
    let stall = decimal(reports.reduce(0) { $0 + $1.stallSeconds }, 2)
    return "moerun: " + phases.map { "\($0.name) \(rate($0.report))" }.joined(separator: "; ")
      + override(model) + "; experts read \(read) of \(requested) (hit rate "
      + "\(decimal(share, 1)) %), \(ByteSize.text(UInt64(bytes))) from disk, waited \(stall) s "
      + "for it" + (phases.last.map { prefetch($0.report, model: model) } ?? "")
      + "; peak memory \(ByteSize.text(memory.peakBytes)) of "
      + "\(ByteSize.text(memory.budgetBytes))"
  }
}
