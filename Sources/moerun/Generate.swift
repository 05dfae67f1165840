import Kernels
import ArgumentParser
import CommandSupport
import Generation
import ModelGraph
import Tokenizers

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Continue a prompt.",
    discussion: """
      The text streams to standard output, a report of what it cost follows on standard error. \
      Without --temperature the most probable token is always taken. Ctrl-C ends the text, the \
      report still comes; a second one ends at once. Example:

        moerun generate model.moepack -p "Once upon a time" -n 100 --temperature 0.7
      """)

  @OptionGroup var model: RunOptions

  @Option(name: .shortAndLong, help: "The text to continue; special tokens in it count as such.")
  var prompt: String

  @Option(
    name: [.customShort("n"), .customLong("max-tokens")],
    help: ArgumentHelp("Most tokens to generate.", valueName: "n"))
  var count = 128

  @Option(help: "0 for the most probable token always, higher for more variety.")
  var temperature: Float = 0

  @Option(
    name: .customLong("top-k"), help: "Sample among so many of the most probable; 0 for all.")
  var topK = 40

  @Option(
    name: .customLong("top-p"), help: "Sample among the most probable with this share in all.")
  var topP: Float = 0.95

  @Option(
    name: .customLong("min-p"), help: "Leave out what is this much less probable than the best.")
  var minP: Float = 0.05

  @Option(help: "The same seed gives the same text.")
  var seed: UInt64 = 0

  @Option(
    help: """
      Positions for prompt and text, cut to what the model was made for. (default: what they need)
      """)
  var context: Int?

  @Flag(name: .customLong("ignore-eos"), help: "Go on after an end-of-text token.")
  var ignoreEnd = false

  @OptionGroup var observation: ObservationOptions

  @OptionGroup var warmth: WarmOptions

  @Flag(help: "Print JSON when all is done, instead of streaming the text.")
  var json = false

  func validate() throws {
    guard (0...1_000_000).contains(count) else {
      throw ValidationError("-n takes 0 to 1000000, found \(count)")
    }
    if let context, !(1...16_777_216).contains(context) {
      throw ValidationError("--context takes 1 to 16777216, found \(context)")
    }
    do {
      _ = try sampler
    } catch {
      throw ValidationError("\(error)")
    }
  }

  private var sampler: SamplerSettings {
    get throws {
      try SamplerSettings(
        temperature: temperature, topK: topK, topP: topP, minP: minP, seed: seed)
    }
  }

  private struct Report: Encodable {
    let text: String
    let promptTokens: Int
    let completionTokens: Int
    let stopReason: Generator.StopReason
    let prefill: PhaseReport
    let decode: PhaseReport
  }

  func run() throws {
    try runCommand("moerun", interruption: "the text ends here") {
      let tokenizer = try Tokenizer(packAt: model.pack)
      let ids = try tokenizer.encode(prompt)
      let loaded = try model.load(contextLength: context ?? ids.count + count)
      let session = try Session(model: loaded.model)
      Interruption.stopsGracefully("moerun")
      session.isCancelled = { Interruption.isRequested }
      let generator = Generator(session: session, tokenizer: tokenizer)
      let hot = warmth.begin(loaded)
      defer { hot.keep() }
      let result = try observation.watch(
        loaded, budget: model.budget, promptTokens: ids.count, maximumTokens: count
      ) { onStep in
        try generator.run(
          prompt: ids,
          settings: .init(maximumTokens: count, sampler: try sampler, ignoresEnd: ignoreEnd),
          onStep: onStep, onText: { if !json { Console.output($0) } })
      }
      let memory = MemoryReport(model: loaded.model, budget: model.budget)
      if json {
        try Console.json(
          RunDocument(
            results: Report(
              text: result.text, promptTokens: ids.count, completionTokens: result.tokens.count,
              stopReason: result.stopReason, prefill: result.prefill, decode: result.decode),
            facts: RunFacts(loaded, memory: memory)))
      } else {
        if !result.text.hasSuffix("\n"), !(result.isCancelled && result.text.isEmpty) {
          Console.line("")
        }
        if result.isCancelled {
          Console.message(
            "moerun: interrupted after \(result.prefill.tokens) of \(ids.count) prompt tokens and "
              + "\(result.tokens.count) of \(count) generated ones")
        }
        RunReport.print(
          [("prompt", result.prefill), ("decode", result.decode)], memory: memory,
          model: loaded.model)
      }
      if result.isCancelled { throw Interruption.exitCode }
    }
  }
}
