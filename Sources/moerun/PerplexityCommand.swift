import Kernels
import ArgumentParser
import CommandSupport
import Generation
import ModelGraph
import Tokenizers

struct PerplexityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity",
    abstract: "Measure how well the model predicts a text.",
    discussion: """
      The text is cut into windows of --context tokens without overlap; the second half of each is \
      scored and a last partial window dropped, as llama.cpp does.
      """)

  @OptionGroup var model: RunOptions

  @Option(name: .shortAndLong, help: "The file with the text.", completion: .file())
  var file: String

  @Option(help: "Tokens of a window.")
  var context = 512

  @OptionGroup var warmth: WarmOptions

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (4...1_048_576).contains(context) else {
      throw ValidationError("--context takes 4 to 1048576, found \(context)")
    }
  }

  private struct Report: Encodable {
    let perplexity: Double
    let standardError: Double
    let tokens: Int
    let context: Int
    let windows: Int
    let prefill: PhaseReport
  }

  func run() throws {
    try runCommand("moerun") {
      let tokenizer = try Tokenizer(packAt: model.pack)
      let ids = try tokenizer.encode(
        bytes: try TextInput.bytes(file, budget: model.budget), addBOS: false)
      let loaded = try model.load(contextLength: context, besides: ids.count * 4)
      let hot = warmth.begin(loaded)
      defer { hot.keep() }
      let line = ProgressLine("window")
      defer { line.clear() }
      let vocabulary = tokenizer.vocabulary
      let result = try Perplexity(
        session: try Session(model: loaded.model), text: ids, context: context,
        bos: vocabulary.addsBOS ? vocabulary.bosID : nil
      ) { done, all, soFar in
        line.set(done: done, total: all, note: "perplexity \(decimal(soFar, 4))")
      }
      line.clear()
      let memory = MemoryReport(model: loaded.model, budget: model.budget)
      if json {
        try Console.json(
          RunDocument(
            results: Report(
              perplexity: result.perplexity, standardError: result.standardError,
              tokens: result.tokens, context: context, windows: result.windows,
              prefill: result.report),
            facts: RunFacts(loaded, memory: memory)))
        return
      }
      Console.line(
        "perplexity \(decimal(result.perplexity, 4)) +/- \(decimal(result.standardError, 4)) over "
          + "\(result.tokens) tokens in \(result.windows) windows of \(context)")
      RunReport.print([("prompt", result.report)], memory: memory, model: loaded.model)
    }
  }
}
