import ArgumentParser
import CommandSupport
import Packer
import Recipes

struct Synth: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a model of a recipe's shape with random weights.",
    discussion: """
      For measuring without the checkpoint: the size, layout and routing cost are the model's, the \
      text means nothing. A GGUF, or directly the pack that converting it would give, which needs \
      the space only once. The same arguments give the same bytes. Examples:

        moepack synth qwen3.5-397b-a17b -o four.gguf --layers 4
        moepack synth recipes/gpt-oss-20b.yaml -o full.moepack
      """)

  @Argument(help: "The recipe: its name or its file.", completion: .file(extensions: ["yaml"]))
  var recipe: String

  @Option(name: .shortAndLong, help: "What to write: NAME.gguf or NAME.moepack.")
  var output: String

  @Option(help: "Layers, 1 to 1024. (default: those of the recipe)")
  var layers: Int?

  @Option(help: "Tokens of the vocabulary. (default: those of the recipe)")
  var vocab: Int?

  @Option(help: "Experts of a layer. (default: those of the recipe)")
  var experts: Int?

  @Option(help: "Start of the random numbers.")
  var seed: UInt64 = 0

  @Option(help: "GGUF or pack whose tokenizer is taken. (default: the recipe's)")
  var tokenizer: String?

  @Flag(help: "Replace an existing file or finished pack.")
  var overwrite = false

  @OptionGroup var work: ThreadOptions

  private var trimmedOutput: Substring {
    var path = output[...]
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    return path
  }
  private var writesPack: Bool { trimmedOutput.hasSuffix(".moepack") }

  func validate() throws {
    guard layers.map((1...1024).contains) ?? true else {
      throw ValidationError("--layers takes 1 to 1024, found \(layers ?? 0)")
    }
    guard vocab.map((1...(1 << 24)).contains) ?? true else {
      throw ValidationError("--vocab takes 1 to \(1 << 24), found \(vocab ?? 0)")
    }
    guard experts.map((1...(1 << 16)).contains) ?? true else {
      throw ValidationError("--experts takes 1 to \(1 << 16), found \(experts ?? 0)")
    }
    guard writesPack || (output == trimmedOutput && output.hasSuffix(".gguf")) else {
      throw ValidationError("-o takes NAME.gguf or NAME.moepack, found \(output)")
    }
  }

  func run() throws {
    try runCommand(
      "moepack",
      interruption: writesPack
        ? "the directory is no pack yet, run the same command again"
        : "what was written so far ends in .partial, run the same command again"
    ) {
      let synthesizer = try Synthesizer(
        recipe: try RecipeLibrary.standard.recipe(recipe),
        options: .init(layers: layers, vocabulary: vocab, experts: experts, seed: seed),
        tokenizer: tokenizer)
      let line = ProgressLine("synthesizing", total: synthesizer.byteCount)
      defer { line.clear() }
      let path = String(trimmedOutput)
      if writesPack {
        try synthesizer.writePack(to: path, overwrite: overwrite, threads: work.threads) {
          line.add($0)
        }
      } else {
        try synthesizer.writeGGUF(to: path, overwrite: overwrite, threads: work.threads) {
          line.add($0)
        }
      }
      line.clear()
      let seconds = line.seconds
      let rate = UInt64(Double(synthesizer.byteCount) / max(seconds, 1e-3))
      Console.line(
        "\(path): \(synthesizer.layerCount) layers, \(synthesizer.vocabularySize) tokens, "
          + "\(ByteSize.text(synthesizer.byteCount)) of random weights in "
          + "\(decimal(seconds, 1)) s (\(ByteSize.text(rate))/s)")
    }
  }
}
