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
  private let probe: String
  private let isBudgetGiven: Bool
  private var plan: PackPlan { subject.plan }

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
        [$0.diskBytesPerToken.most, $0.diskBytesPerToken.least]
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
        Disk(
          path: output, freeBytes: free, neededBytes: plan.packBytes, fits: plan.packBytes <= free)
      }
    }
  }
}

extension PlanReport {
  /// For people.
  var text: String {
    var lines = [
      "\(plan.architecture): \(plan.layers.count) layers with experts, "
        + "\(plan.expertsUsed.map { "\($0) experts used a token" } ?? "experts used a token unknown")"
    ]
    if let recipe { lines.append("recipe \(recipe.name): \(recipe.reason)") }
    lines += ["", layerTable, ""]
    lines += Self.aligned(sizes + [("", "")] + running + [("", "")] + converting)
    if let recipe { lines += recipeLines(recipe) }
    return lines.joined(separator: "\n")
  }

  private var layerTable: String {
    var table = TextTable(
      ["layers", "experts", "types", "expert", "record", "slices", "padding", "size"],
      right: [1, 3, 4, 5, 6, 7])
    for group in plan.layerGroups {
      let layer = group.first
      table.add([
        group.name, "\(layer.experts)", layer.types.joined(separator: "/"),
        ByteSize.text(layer.expertBytes), ByteSize.text(layer.recordBytes),
        "\(layer.computeSlices)", ByteSize.text(layer.paddingBytes * UInt64(group.count)),
        ByteSize.text(group.bytes),
      ])
    }
    return table.text
  }

  private var sizes: [(String, String)] {
    let share = Double(plan.paddingBytes) / Double(max(plan.expertBytes, 1)) * 100
    return [
      (subject.isShape ? "GGUF" : "source", ByteSize.text(plan.sourceBytes)),
      ("pack", ByteSize.text(plan.packBytes)),
      (
        "  experts",
        "\(ByteSize.text(plan.expertBytes)), of which padding \(ByteSize.text(plan.paddingBytes))"
          + " (\(decimal(share, 1)) %)"
      ),
      ("  resident", ByteSize.text(plan.residentBytes)),
      ("  checksums", ByteSize.text(plan.checksumBytes)),
    ] + (plan.bytesPerToken.map { [("experts a token", ByteSize.text($0))] } ?? [])
  }

  private var running: [(String, String)] {
    func size(_ bytes: Int) -> String { ByteSize.text(UInt64(max(0, bytes))) }
    var parts = [
      "resident \(size(memory.residentBytes))",
      "KV cache \(size(memory.kvCacheBytes)) for \(memory.contextTokens) tokens",
      "process and tables \(size(memory.processBytes + memory.tableBytes))",
    ]
    let buffers = memory.stateBytes + memory.scratchBytes
    if buffers > 0 { parts.append("state and buffers \(size(buffers))") }
    parts.append("\(plan.expertsUsed ?? 0) experts")
    var rows = [
      (
        "smallest --memory",
        ByteSize.textRoundedUp(UInt64(max(0, memory.minimumBytes)))
          + (memory.basis == .estimate ? ", an estimate: moerun does not run it yet" : "")
      ), ("", parts.joined(separator: ", ")),
    ]
    let budget = ByteSize.text(memory.budgetBytes)
    let share = Double(memory.slots) / Double(max(memory.experts, 1)) * 100
    rows.append(
      (
        "with \(budget)",
        (memory.fits
          ? "runs, \(memory.slots) of \(memory.experts) experts in memory (\(decimal(share, 0)) %)"
          : "does not run") + (isBudgetGiven ? "" : "; what moerun would use here")
      ))
    if let rate = speed.diskBytesPerSecond {
      rows.append(("disk", "\(decimal(rate / 1e9, 2)) GB/s (\(probe))"))
    } else {
      rows.append(("disk", "\(probe); give --probe FILE, a large file on the disk"))
    }
    if let tokens = speed.expectedTokensPerSecond, let hits = speed.expectedHitRate,
      let bytes = speed.expectedDiskBytesPerToken
    {
      func percent(_ rate: Double) -> String { decimal(rate * 100, 0) }
      func places(_ value: Double) -> Int { value < 10 ? 1 : 0 }
      rows.append(
        (
          "expected",
          "\(decimal(tokens[0], places(tokens[0]))) to \(decimal(tokens[1], places(tokens[1]))) tok/s"
            + " decoded, \(percent(hits[0])) to \(percent(hits[1])) % hits, "
            + "\(ByteSize.text(UInt64(bytes[0]))) to \(ByteSize.text(UInt64(bytes[1]))) from disk a token"
        ))
    }
    return rows
  }

  private var converting: [(String, String)] {
    var rows: [(String, String)] = []
    if !subject.isShape, let seconds = speed.convertSeconds {
      rows.append(("converting", "about \(Self.duration(seconds)) at the disk's speed"))
    }
    if let disk {
      rows.append(
        (
          "room",
          "\(ByteSize.text(disk.neededBytes)) needed, \(ByteSize.text(disk.freeBytes)) free at "
            + "\(disk.path)\(disk.fits ? "" : ": does not fit")"
        ))
    }
    return rows
  }

  private func recipeLines(_ recipe: RecipeReport) -> [String] {
    var rows: [(String, String)] = []
    if !recipe.defaults.isEmpty { rows.append(("run with", recipe.defaults)) }
    if !recipe.sampling.isEmpty { rows.append(("sample with", recipe.sampling)) }
    if recipe.typeRules > 0, !recipe.typesApplied, !subject.isShape {
      rows.append(
        ("types", "as they are; --recipe \(recipe.name) shows the pack with the recipe's"))
    }
    for figure in recipe.reference {
      rows.append((figure.figure, "\(figure.value) (\(figure.source))"))
    }
    return rows.isEmpty ? [] : [""] + Self.aligned(rows)
  }

  /// Labels and values in two columns.
  private static func aligned(_ rows: [(String, String)]) -> [String] {
    var rows = rows
    while rows.last.map({ $0.0.isEmpty && $0.1.isEmpty }) == true { rows.removeLast() }
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { label, value in
      value.isEmpty && label.isEmpty
        ? "" : label + String(repeating: " ", count: width - label.count) + "  " + value
    }
  }

  private static func duration(_ seconds: Double) -> String {
    switch seconds {
    case ..<90: "\(decimal(seconds, seconds < 10 ? 1 : 0)) s"
    case ..<5400: "\(decimal(seconds / 60, 0)) min"
    default: "\(decimal(seconds / 3600, 1)) h"
    }
  }
}
