import ArgumentParser
import CommandSupport
import ExpertPack
import GGUF
import Packer
import Recipes

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Convert a GGUF into a pack.",
    discussion: """
      The source is only read. A conversion that is killed leaves a directory that does not open \
      as a pack; run convert again. Example:

        moepack convert model-00001-of-00005.gguf -o model.moepack

      With --type, or the types of a recipe that --recipe names, the pack holds the model with other \
      types, which export writes as a GGUF:

        moepack convert model-BF16.gguf -o model.moepack --imatrix model.imatrix.gguf \\
          --type ffn_down_exps=iq4_xs --type 'ffn_*_exps=iq3_xxs' --type token_embd=q8_0
      """)

  @Argument(help: "The GGUF; any shard of a split one.", completion: .file(extensions: ["gguf"]))
  var file: String

  @Option(name: .shortAndLong, help: "The directory to write, by custom NAME.moepack.")
  var output: String

  @Flag(
    name: .customLong("in-place"),
    help: "Write no weights: index and checksum them where they are in the source.")
  var inPlace = false

  @OptionGroup var choice: RecipeOption

  @OptionGroup var requantization: RequantizationOptions

  @Flag(help: "Replace a finished pack.")
  var overwrite = false

  @OptionGroup var work: ThreadOptions

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    let pack: String
    let kind: String
    let layers: Int
    let sourceBytes: UInt64
    let packBytes: UInt64
    let requantizedTensors: Int
    let seconds: Double
  }

  func run() throws {
    try runCommand(
      "moepack",
      interruption: "the directory is no pack yet, run the same command again"
    ) {
      let source = try GGUFFile.open(file)
      let recipe = try choice.choose(for: source)?.recipe
      let inPlace = inPlace || recipe?.layout.isInPlace ?? false
      let changed = try requantization.apply(
        to: source, recipe: choice.recipe == nil ? nil : recipe, isInPlace: inPlace,
        threads: work.threads)
      let writer =
        try changed.map { try PackWriter(requantization: $0, threads: work.threads) }
        ?? PackWriter(source: source, kind: inPlace ? .inPlace : .packed, threads: work.threads)
      let line = ProgressLine(inPlace ? "indexing" : "packing", total: writer.progressBytes)
      defer { line.clear() }
      let manifest = try writer.write(to: output, overwrite: overwrite) { line.add($0) }
      line.clear()
      let report = Report(
        pack: output, kind: manifest.kind.rawValue,
        layers: try PackPlan(source: source).layers.count,
        sourceBytes: manifest.sources.reduce(0) { $0 + $1.bytes },
        packBytes: manifest.files.reduce(0) { $0 + $1.bytes },
        requantizedTensors: changed?.changes.count ?? 0, seconds: line.seconds)
      if json {
        try Console.json(report)
      } else {
        let rate = UInt64(Double(report.sourceBytes) / max(report.seconds, 1e-3))
        Console.line(
          "\(output): \(inPlace ? "indexed" : "packed") \(report.layers) layers of experts, "
            + (changed.map { "\($0.changes.count) tensors requantised, " } ?? "")
            + "\(ByteSize.text(report.sourceBytes)) to \(ByteSize.text(report.packBytes)) in "
            + "\(decimal(report.seconds, 1)) s (\(ByteSize.text(rate))/s)")
      }
    }
  }
}
