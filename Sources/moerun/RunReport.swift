import ExpertStore
import CommandSupport
import Generation
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

/// The line that ends every run.
enum RunReport {
  /// `12 tokens, 85.3 tok/s`.
  static func rate(_ phase: PhaseReport) -> String {
    "\(phase.tokens) tokens, \(decimal(phase.tokensPerSecond, 1)) tok/s"
  }

  /// The line of a generation.
  static func line(
    _ result: Generator.Result, memory: MemoryReport, model: Model
  ) -> String {
    let all = [result.prefill, result.decode]
    return line(
      phases: ["prompt \(rate(result.prefill))", "decode \(rate(result.decode))"],
      expertsRead: all.reduce(0) { $0 + $1.expertsRead },
      expertsRequested: all.reduce(0) { $0 + $1.expertsRequested },
      bytes: all.reduce(0) { $0 + $1.bytesRead }, stall: all.reduce(0) { $0 + $1.stallSeconds },
      memory: memory, model: model)
  }

  /// Says so when a token uses another number of experts than the model's own.
  private static func override(_ model: Model) -> String {
    let experts = model.config.experts
    guard experts.usedCount != experts.modelUsedCount else { return "" }
    return "; \(experts.usedCount) experts used a token, the model's own number is "
      + "\(experts.modelUsedCount)"
  }

  /// The whole line.
  static func line(
    phases: [String], expertsRead: Int, expertsRequested: Int, bytes: Int, stall: Double,
    memory: MemoryReport, model: Model
  ) -> String {
    let hits = expertsRequested - expertsRead
    let share = expertsRequested > 0 ? Double(hits) / Double(expertsRequested) * 100 : 100
    return "moerun: " + phases.joined(separator: "; ") + override(model)
      + "; experts read \(expertsRead) of \(expertsRequested) (hit rate \(decimal(share, 1)) %), "
      + "\(ByteSize.text(UInt64(bytes))) from disk, waited \(decimal(stall, 2)) s for it; "
      + "peak memory \(ByteSize.text(memory.peakBytes)) of \(ByteSize.text(memory.budgetBytes))"
  }
}
