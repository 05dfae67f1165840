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

  init(model: Model, budget: UInt64) {
    peakBytes = SystemMemory.peak
    budgetBytes = budget
    residentBytes = model.plan.demand.residentBytes
    expertSlotBytes = model.store.memoryByteCount
    expertSlots = model.store.slotCount
  }
}

/// The line that ends every run.
enum RunReport {
  /// `12 tokens, 85.3 tok/s`.
  static func rate(_ phase: PhaseReport) -> String {
    "\(phase.tokens) tokens, \(decimal(phase.tokensPerSecond, 1)) tok/s"
  }

  /// The line of a generation.
  static func line(_ result: Generator.Result, memory: MemoryReport) -> String {
    let all = [result.prefill, result.decode]
    return line(
      phases: ["prompt \(rate(result.prefill))", "decode \(rate(result.decode))"],
      expertsRead: all.reduce(0) { $0 + $1.expertsRead },
      expertsRequested: all.reduce(0) { $0 + $1.expertsRequested },
      bytes: all.reduce(0) { $0 + $1.bytesRead }, stall: all.reduce(0) { $0 + $1.stallSeconds },
      memory: memory)
  }

  /// The whole line.
  static func line(
    phases: [String], expertsRead: Int, expertsRequested: Int, bytes: Int, stall: Double,
    memory: MemoryReport
  ) -> String {
    let hits = expertsRequested - expertsRead
    let share = expertsRequested > 0 ? Double(hits) / Double(expertsRequested) * 100 : 100
    return "moerun: " + phases.joined(separator: "; ")
      + "; experts read \(expertsRead) of \(expertsRequested) (hit rate \(decimal(share, 1)) %), "
      + "\(ByteSize.text(UInt64(bytes))) from disk, waited \(decimal(stall, 2)) s for it; "
      + "peak memory \(ByteSize.text(memory.peakBytes)) of \(ByteSize.text(memory.budgetBytes))"
  }
}
