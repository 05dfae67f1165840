import Tensors
import GGUF
import ArgumentParser
import CommandSupport
import ExpertPack
import ExpertStore
import Kernels
import ModelGraph

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show a pack's model, and how it would use the memory.")

  @OptionGroup var model: RunOptions

  @Option(help: "Positions to plan for, at most what the model was made for.")
  var context = 4096

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (1...16_777_216).contains(context) else {
      throw ValidationError("--context takes 1 to 16777216, found \(context)")
    }
  }

  func run() throws {
    try runCommand("moerun") {
      let pack = try PackDirectory.open(model.pack)
      let config = try ModelConfig(pack: pack).usingExperts(model.expertsUsed)
      let choice = try model.readChoice(for: pack)
      let options = model.modelOptions(contextLength: context, reading: choice.settings)
      let plan = try MemoryPlan(pack: pack, config: config, options: options)
      let report = InfoReport(
        pack: pack, config: config, plan: plan, threads: options.threads,
        io: ReadReport(choice), isa: try InstructionSet.detected().rawValue,
        cachePolicy: options.cachePolicy)
      if json { try Console.json(report) } else { Console.line(report.text) }
    }
  }
}

/// What `info` says.
private struct InfoReport: Encodable {
  struct Memory: Encodable {
    let budgetBytes: Int?
    let residentBytes: Int
    let tableBytes: Int
    let kvCacheBytes: Int
    let kvType: String
    let stateBytes: Int
    let scratchBytes: Int
    let processBytes: Int
    let slotBytes: Int
    let slots: Int
    let contextTokens: Int
    let batchTokens: Int
  }

  let pack: String
  let kind: String
  let name: String?
  let architecture: String
  let layers: Int
  let fullAttentionLayers: Int
  let hiddenSize: Int
  let vocabularySize: Int
  let contextTokens: Int
  let expertsPerLayer: Int
  let expertsUsed: Int
  let modelExpertsUsed: Int
  let experts: Int
  let computeSlices: [Int]
  let expertTypes: [String]
  let memory: Memory
  let io: ReadReport
  let isa: String
  let threads: Int
  let cachePolicy: String

  init(
    pack: PackDirectory, config: ModelConfig, plan: MemoryPlan, threads: Int, io: ReadReport,
    isa: String, cachePolicy: CachePolicy
  ) {
    self.pack = pack.path
    kind = pack.manifest.kind.rawValue
    name = (try? pack.source.metadata.optionalString("general.name")) ?? nil
    architecture = config.architecture
    layers = config.layerCount
    fullAttentionLayers = config.attentionLayerCount
    hiddenSize = config.hiddenSize
    vocabularySize = config.vocabularySize
    contextTokens = config.contextLength
    expertsPerLayer = config.experts.count
    expertsUsed = config.experts.usedCount
    modelExpertsUsed = config.experts.modelUsedCount
    experts = plan.demand.expertCount
    let geometries = pack.expertLayers.map(\.geometry)
    computeSlices = Set(geometries.map(\.computeSlices)).sorted()
    expertTypes = Set(
      geometries.map { $0.components.map(\.type.name).joined(separator: "/") }
    ).sorted()
    memory = Memory(
      budgetBytes: plan.budget, residentBytes: plan.demand.residentBytes,
      tableBytes: plan.demand.tableBytes, kvCacheBytes: plan.cacheBytes,
      kvType: plan.keyValueType.rawValue, stateBytes: plan.stateBytes,
      scratchBytes: plan.scratchBytes,
      processBytes: plan.demand.processBytes, slotBytes: plan.demand.slotBytes,
      slots: plan.slotCount, contextTokens: plan.contextLength, batchTokens: plan.batch)
    self.io = io
    self.isa = isa
    self.threads = threads
    self.cachePolicy = cachePolicy.rawValue
  }

  var text: String {
    func size(_ bytes: Int) -> String { ByteSize.text(UInt64(max(0, bytes))) }
    let share = decimal(Double(memory.slots) / Double(max(experts, 1)) * 100, 0)
    let slices = computeSlices.map(String.init).joined(separator: ", ")
    let rows: [(String, String)] = [
      ("pack", "\(pack) (\(kind == PackKind.packed.rawValue ? "packed" : "in place"))"),
      ("model", "\(name.map { "\($0), " } ?? "")\(architecture)"),
      ("layers", "\(layers), of which \(fullAttentionLayers) with full attention"),
      ("hidden size", "\(hiddenSize), vocabulary \(vocabularySize), context \(contextTokens)"),
      (
        "experts",
        "\(expertsPerLayer) a layer, \(expertsUsed) used a token"
          + (expertsUsed == modelExpertsUsed ? "" : " (the model's own: \(modelExpertsUsed))")
          + ", \(experts) in all"
      ),
      ("expert types", "\(expertTypes.joined(separator: ", ")) (gate/up/down)"),
      ("compute slices", slices),
      ("runs with", "\(isa), \(threads) compute threads"),
      ("reads with", io.text),
      ("", ""),
      ("memory budget", memory.budgetBytes.map { size($0) } ?? "none"),
      ("  resident", size(memory.residentBytes)),
      (
        "  KV cache",
        "\(size(memory.kvCacheBytes)) for \(memory.contextTokens) tokens, \(memory.kvType)"
      ),
      (
        "  state, buffers",
        "\(size(memory.stateBytes + memory.scratchBytes)) for \(memory.batchTokens) tokens at a time"
      ),
      ("  tables, process", size(memory.tableBytes + memory.processBytes)),
      (
        "  expert slots",
        "\(memory.slots) of \(size(memory.slotBytes)), \(size(memory.slots * memory.slotBytes)): "
          + "\(share) % of all experts, cache policy \(cachePolicy)"
      ),
    ]
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { label, value in
      let padding = String(repeating: " ", count: width - label.count)
      return value.isEmpty ? "" : "\(label)\(padding)  \(value)"
    }.joined(separator: "\n")
  }
}
