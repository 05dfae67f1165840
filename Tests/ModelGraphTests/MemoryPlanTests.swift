import ModelGraph
import Testing

@Suite("Memory plan")
struct MemoryPlanTests {
  private let demand = MemoryPlan.Demand(
    residentBytes: 100 << 20, tableBytes: 1 << 20, slotBytes: 2 << 20, expertCount: 24)

  private func plan(_ adjust: (inout ModelOptions) -> Void) throws -> MemoryPlan {
    var options = ModelOptions(threads: 1)
    adjust(&options)
    let config = try ModelConfig(
      metadata: SmallModel.metadata, vocabularySize: SmallModel.vocabulary, path: "model.gguf")
    return try MemoryPlan(name: "m.moepack", config: config, demand: demand, options: options)
  }

  @Test("without a limit all experts get a slot")
  func unlimited() throws {
    let plan = try plan { _ in }
    #expect(plan.slotCount == 24)
    #expect(plan.slotPoolBytes == 48 << 20)
    #expect(plan.contextLength == 64)
    // 2 x 2 heads x 16 x 64 positions x 1 layer, and (4 x 8 x 8 + 3 x 64) x 3 layers, float32.
    #expect(plan.cacheBytes == 2 * 2 * 16 * 64 * 4)
    #expect(plan.stateBytes == (4 * 8 * 8 + 3 * 64) * 3 * 4)
    #expect(
      plan.totalBytes
        == (149 << 20) + plan.cacheBytes + plan.stateBytes + plan.scratchBytes
        + MemoryPlan.processAllowance)
  }

  @Test("the budget decides how many experts fit, to the byte", arguments: [2, 3, 17, 24])
  func budget(_ slots: Int) throws {
    let fixed = try plan { _ in }.fixedBytes
    let exact = fixed + slots * (2 << 20)
    #expect(try plan { $0.memoryBudget = exact }.slotCount == slots)
    #expect(try plan { $0.memoryBudget = exact }.totalBytes <= exact)
    #expect(try plan { $0.memoryBudget = exact + (2 << 20) - 1 }.slotCount == slots)
    if slots > 2 { #expect(try plan { $0.memoryBudget = exact - 1 }.slotCount == slots - 1) }
  }

  @Test("what cannot fit is refused with all the numbers", arguments: [0, 1 << 20, 165 << 20])
  func refused(_ budget: Int) throws {
    let error = #expect(throws: ModelGraphError.self) { try plan { $0.memoryBudget = budget } }
    #expect(error?.code == .outOfBudget)
    let message = error?.message ?? ""
    #expect(message.hasPrefix("m.moepack: memory is limited to "))
    #expect(message.contains("which leaves room for 0 experts of 2.0 MiB, a token uses 2"))
    #expect(message.contains("give at least 169."))
    #expect(message.contains("resident weights 100.0 MiB, KV cache for 64 tokens 16.0 KiB"))
  }

  @Test("what the refusal asks for is enough")
  func enough() throws {
    let fixed = try plan { _ in }.fixedBytes
    let minimum = fixed + 2 * (2 << 20)
    #expect(throws: ModelGraphError.self) { try plan { $0.memoryBudget = minimum - 1 } }
    let tenth = (1 << 20) / 10
    let asked = (minimum + tenth - 1) / tenth * tenth + 10
    #expect(try plan { $0.memoryBudget = asked }.slotCount == 2)
  }

  @Test("what the caller holds counts, in the refusal too")
  func reserved() throws {
    let fixed = try plan { _ in }.fixedBytes
    let held = try plan { $0.reservedBytes = 5 << 20 }
    #expect(held.fixedBytes == fixed + (5 << 20))
    let error = #expect(throws: ModelGraphError.self) {
      try plan { options in
        options.reservedBytes = 5 << 20
        options.memoryBudget = fixed + 2 * (2 << 20)
      }
    }
    #expect(error?.message.contains("give at least 174.") == true)
    #expect(error?.message.contains("text and tokens 5.0 MiB") == true)
  }

  @Test("a large vocabulary takes more of the process than is set aside at least")
  func headers() throws {
    #expect(MemoryPlan.processBytes(headerBytes: 0) == MemoryPlan.processAllowance)
    #expect(MemoryPlan.processBytes(headerBytes: 8 << 20) == MemoryPlan.processAllowance)
    #expect(MemoryPlan.processBytes(headerBytes: 20 << 20) == 94 << 20)
  }

  @Test("sessions and context count")
  func sessions() throws {
    let one = try plan { $0.contextLength = 16 }
    #expect(one.contextLength == 16)
    let three = try plan { options in
      options.contextLength = 16
      options.sessionCount = 3
    }
    #expect(three.cacheBytes == 3 * one.cacheBytes)
    #expect(three.stateBytes == 3 * one.stateBytes)
    #expect(three.scratchBytes == 3 * one.scratchBytes)
    #expect(try plan { $0.contextLength = 1 << 40 }.contextLength == 64)
  }

  @Test("a limit of slots below what a token uses is refused")
  func slots() throws {
    let error = #expect(throws: ModelGraphError.self) { try plan { $0.maximumSlots = 1 } }
    #expect(error?.message.contains("experts are limited to 1, ") == true)
  }
}
