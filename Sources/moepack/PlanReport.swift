import CommandSupport
import GGUF
import Packer
import Planner
import Recipes

/// What `plan` says. JSON has the members of ``PackPlan`` beside those of this.
struct PlanReport: Encodable {
  struct RecipeReport: Encodable {
    let name: String
    let path: String
    let reason: String
    let defaults: String
    let sampling: String
    let typeRules: Int
    let typesApplied: Bool
    let reference: [RecipeReference.Figure]
  }
  struct Memory: Encodable {
    let basis: MemoryNeed.Basis
    let minimumBytes: Int
    let residentBytes: Int
    let tableBytes: Int
    let kvCacheBytes: Int
    let stateBytes: Int
    let scratchBytes: Int
    let processBytes: Int
    let slotBytes: Int
    let contextTokens: Int
    let budgetBytes: UInt64
    let fits: Bool
    let slots: Int
    let experts: Int
  }
  struct Speed: Encodable {
    let diskBytesPerSecond: Double?
    let memoryBytesPerSecond: Double
    let expectedTokensPerSecond: [Double]?
    let expectedHitRate: [Double]?
    let expectedDiskBytesPerToken: [Double]?
    let convertSeconds: Double?
  }
  struct Disk: Encodable {
    let path: String
    let freeBytes: UInt64
    let neededBytes: UInt64
    let fits: Bool
  }

  let subject: PlanSubject
  let recipe: RecipeReport?
  let memory: Memory
  let speed: Speed
  let disk: Disk?
  /// The file that was read to measure the disk, and when.
  let probe: String
  let isBudgetGiven: Bool
  var plan: PackPlan { subject.plan }

  private enum Keys: CodingKey { case recipe, memory, speed, disk }

  func encode(to encoder: any Encoder) throws {
    try plan.encode(to: encoder)
    var container = encoder.container(keyedBy: Keys.self)
    try container.encodeIfPresent(recipe, forKey: .recipe)
    try container.encode(memory, forKey: .memory)
    try container.encode(speed, forKey: .speed)
    try container.encodeIfPresent(disk, forKey: .disk)
  }

  init(
    subject: PlanSubject, need: MemoryNeed, speed: MachineSpeed, budget: UInt64,
    isBudgetGiven: Bool, output: String?
  ) {
    self.subject = subject
    self.isBudgetGiven = isBudgetGiven
    let plan = subject.plan
    recipe = subject.choice.map { choice in
      RecipeReport(
        name: choice.recipe.name, path: choice.recipe.path, reason: choice.reason,
        defaults: choice.recipe.defaults.flags,
        sampling: choice.recipe.defaults.sampling?.flags ?? "",
        typeRules: choice.recipe.typeRules.count,
        typesApplied: subject.isNamed && !choice.recipe.typeRules.isEmpty,
        reference: choice.recipe.reference.figures)
    }
    let fit = need.fit(budget: budget)
    memory = Memory(
      basis: need.basis, minimumBytes: need.minimumBytes, residentBytes: need.residentBytes,
      tableBytes: need.tableBytes, kvCacheBytes: need.cacheBytes, stateBytes: need.stateBytes,
      scratchBytes: need.scratchBytes, processBytes: need.processBytes, slotBytes: need.slotBytes,
      contextTokens: need.contextLength, budgetBytes: budget, fits: fit.runs, slots: fit.slots,
      experts: need.expertCount)
    let embedding = subject.source.tensor(named: "token_embd.weight")?.byteCount ?? 0
    let band: SpeedBand? = speed.diskBytesPerSecond.flatMap { disk in
      guard fit.runs, let bytes = plan.bytesPerToken else { return nil }
      return SpeedBand(
        expertBytes: bytes, residentBytes: plan.residentBytes - min(embedding, plan.residentBytes),
        slots: fit.slots, expertCount: need.expertCount,
        recorded: subject.choice?.recipe.reference.hitRates, disk: disk,
        memory: speed.memoryBytesPerSecond)
    }
    self.speed = Speed(
      diskBytesPerSecond: speed.diskBytesPerSecond,
      memoryBytesPerSecond: speed.memoryBytesPerSecond,
      expectedTokensPerSecond: band.map {
        [$0.tokensPerSecond.lowerBound, $0.tokensPerSecond.upperBound]
      },
      expectedHitRate: band.map { [$0.hitRates.lowerBound, $0.hitRates.upperBound] },
      expectedDiskBytesPerToken: band.map {
        [$0.diskBytesPerToken.least, $0.diskBytesPerToken.most]
      },
      convertSeconds: speed.diskBytesPerSecond.map {
        Double(plan.sourceBytes + plan.packBytes) / max($0, 1)
      })
    probe =
      speed.probedPath.map {
        "\($0), \(speed.isDiskNew ? "measured just now" : "measured earlier")"
      }
      ?? "not measured"
    disk = output.flatMap { output in
      DiskRoom.freeBytes(at: output).map { free in
        let needed = subject.space.needed(consuming: false)
        return Disk(path: output, freeBytes: free, neededBytes: needed, fits: needed <= free)
      }
    }
  }
}
