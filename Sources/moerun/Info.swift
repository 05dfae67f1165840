import ArgumentParser
import CommandSupport
import ExpertPack
import Kernels
import ModelGraph
import Tokenizers

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show a pack's model, its sizes, and how it would use the memory.")

  @OptionGroup var model: ModelOptions

  @Option(help: "Positions to plan for. (default: 4096, or what the model has)")
  var context: Int?

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    let architecture: String
    let kind: String
    let layers: Int
    let fullAttentionLayers: Int
    let hiddenSize: Int
    let vocabularySize: Int
    let contextLength: Int
    let experts: Int
    let expertsUsed: Int
    let expertSlotBytes: Int
    let expertBytes: UInt64
    let residentBytes: Int
    let plan: MemoryPlan
    let isa: String
    let threads: Int
  }

  func run() throws {
    try runCommand("moerun") {
      let pack = try PackDirectory.open(model.pack)
      let config = try ModelConfig(metadata: pack.source.metadata)
      let positions = context ?? min(4096, config.contextLength)
      let plan = try Model.memoryPlan(
        pack: pack, config: config, budget: model.budget, contextLength: positions,
        batch: model.batch)
      let report = Report(
        architecture: config.architecture, kind: pack.manifest.kind.rawValue,
        layers: config.mixers.count,
        fullAttentionLayers: config.mixers.count { $0 == .fullAttention },
        hiddenSize: config.hiddenSize, vocabularySize: config.vocabularySize,
        contextLength: config.contextLength, experts: config.experts.count,
        expertsUsed: config.experts.usedCount, expertSlotBytes: pack.maximumSlotBytes,
        expertBytes: pack.files.reduce(0) { $0 + $1.byteCount },
        residentBytes: pack.residentByteCount, plan: plan,
        isa: try InstructionSet.chosen().rawValue,
        threads: model.threads ?? SystemMemory.processorCount)
      if json { try Console.json(report) } else { Console.line(Self.text(report, model.pack)) }
    }
  }

  private static func text(_ report: Report, _ path: String) -> String {
    var table = TextTable(["\(path)", ""], right: [])
    table.add(["architecture", "\(report.architecture), \(report.kind)"])
    return table.text
  }
}
