import GGUF
import ModelGraph
import Testing

@Suite("Memory plan")
struct MemoryPlanTests {
  private let demand = MemoryPlan.Demand(
    residentBytes: 100 << 20, tableBytes: 1 << 20, slotBytes: 2 << 20, expertCount: 24)

  private func plan(_ adjust: (inout ModelOptions) -> Void) throws -> MemoryPlan {
    var options = ModelOptions(threads: 1)
    options.batch = 64
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
    // 2 x 2 heads x 16 x 64 positions x 1 layer, float16. In 3 layers 4 heads' 8 x 8 associations, 8 keys and
    // 8 updates that wait, 8 decays and 2 more, in sixteens, and 3 rows of the convolution, float32.
    #expect(plan.cacheBytes == 2 * 2 * 16 * 64 * 2)
    #expect(plan.stateBytes == (4 * 208 + 3 * 64) * 3 * 4)
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
    #expect(message.contains("resident weights 100.0 MiB, KV cache for 64 tokens 8.0 KiB"))
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

  /// The shape of Qwen3.5-397B-A17B with four layers.
  private static let large: GGUFMetadata = {
    var metadata = SmallModel.metadata
    let counts: [(String, UInt32)] = [
      ("context_length", 262144), ("embedding_length", 4096), ("attention.head_count", 32),
      ("attention.head_count_kv", 2), ("attention.key_length", 256),
      ("attention.value_length", 256), ("rope.dimension_count", 64), ("expert_count", 512),
      ("expert_used_count", 10), ("expert_feed_forward_length", 1024),
      ("expert_shared_feed_forward_length", 1024), ("ssm.state_size", 128),
      ("ssm.group_count", 16), ("ssm.time_step_rank", 64), ("ssm.inner_size", 8192),
    ]
    for (key, value) in counts { metadata.set(.uint32(value), for: "qwen35moe." + key) }
    return metadata
  }()

  private func largePlan(_ adjust: (inout ModelOptions) -> Void) throws -> MemoryPlan {
    var options = ModelOptions(threads: 4)
    adjust(&options)
    let config = try ModelConfig(
      metadata: Self.large, vocabularySize: 248_320, path: "model.gguf")
    return try MemoryPlan(
      name: "m.moepack", config: config,
      demand: MemoryPlan.Demand(
        residentBytes: 1 << 30, tableBytes: 1 << 20, slotBytes: 5_439_488, expertCount: 2048),
      options: options)
  }

  @Test("512 tokens of a large model at a time take little beside its experts")
  func scratch() throws {
    let plan = try largePlan { $0.batch = 512 }
    #expect(plan.scratchBytes <= 128 << 20)
    #expect(try largePlan { $0.batch = 1 }.scratchBytes <= 3 << 20)
  }

  @Test("the batch is the largest that leaves slots for a token and for reading ahead")
  func batch() throws {
    let slot = 5_439_488
    for batch in [512, 256, 128, 64, 32] {
      let plan = try largePlan { $0.batch = batch }
      #expect(plan.batch == batch)
      let enough = plan.fixedBytes + 26 * slot
      #expect(try largePlan { $0.memoryBudget = enough }.batch == batch)
      #expect(try largePlan { $0.memoryBudget = enough }.slotCount == 26)
      let smaller = try largePlan { $0.memoryBudget = enough - 1 }
      #expect(smaller.batch == max(32, batch / 2))
      #expect(smaller.slotCount >= (batch > 32 ? 26 : 25))
    }
    // With slots for a token alone the smallest batch is still taken, and nothing below is.
    let smallest = try largePlan { $0.batch = 32 }.fixedBytes + 10 * slot
    #expect(try largePlan { $0.memoryBudget = smallest }.slotCount == 10)
    #expect(throws: ModelGraphError.self) { try largePlan { $0.memoryBudget = smallest - 1 } }
    #expect(try largePlan { $0.contextLength = 100 }.batch == 100)
    #expect(try largePlan { $0.maximumSlots = 10 }.batch == 2048)
  }

  @Test("more than 512 tokens at a time leave room for all experts, or take little of the memory")
  func largeBatch() throws {
    #expect(try largePlan { _ in }.batch == 2048)
    let plan = try largePlan { $0.batch = 2048 }
    let all = plan.fixedBytes + 2048 * 5_439_488
    #expect(plan.scratchBytes * 32 > all)
    #expect(try largePlan { $0.memoryBudget = all }.batch == 2048)
    #expect(try largePlan { $0.memoryBudget = all - 1 }.batch == 1024)
    // Of more memory the same buffers are a small part, though experts do not all fit.
    let much = 32 * plan.scratchBytes
    for (budget, batch) in [(much, 2048), (much - 1, 1024)] {
      let plan = try largePlan { options in
        options.memoryBudget = budget
        options.reservedBytes = budget - (8 << 30)
      }
      #expect(plan.batch == batch && plan.slotCount < 2048)
    }
    #expect(try largePlan { $0.memoryBudget = 4 << 30 }.batch == 512)
  }

  @Test("a batch that is asked for is taken, or refused with its size")
  func explicitBatch() throws {
    let needed = try largePlan { $0.batch = 2048 }.fixedBytes + 10 * 5_439_488
    let plan = try largePlan { options in
      options.batch = 2048
      options.memoryBudget = needed
    }
    #expect(plan.batch == 2048 && plan.slotCount == 10)
    let error = #expect(throws: ModelGraphError.self) {
      try largePlan { options in
        options.batch = 2048
        options.memoryBudget = needed - 1
      }
    }
    #expect(error?.code == .outOfBudget)
    #expect(error?.message.contains("buffers for 2048 tokens at a time ") == true)
  }

  @Test("a limit of slots below what a token uses is refused")
  func slots() throws {
    let error = #expect(throws: ModelGraphError.self) { try plan { $0.maximumSlots = 1 } }
    #expect(error?.message.contains("experts are limited to 1, ") == true)
  }
}
