import Kernels
import ArgumentParser
import CommandSupport
import ExpertStore
import Generation
import ModelGraph
import Tokenizers

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure how fast the model evaluates a prompt and generates.",
    discussion: """
      The prompt is made of token ids drawn with a fixed seed, the text is greedy and goes on after \
      an end-of-text token, so that runs compare. What was in the page cache stays out of it: \
      experts are read past it. So does, without --warm, what was hot in an earlier run, and so \
      does the time that the system takes to hand out memory.
      """)

  @OptionGroup var model: RunOptions

  @Option(help: ArgumentHelp("Tokens of the prompt.", valueName: "n"))
  var prefill = 512

  @Option(help: ArgumentHelp("Tokens to generate.", valueName: "n"))
  var decode = 64

  @OptionGroup var observation: ObservationOptions

  @OptionGroup var warmth: WarmOptions

  @Option(
    help: ArgumentHelp(
      "Leave a part of the engine out, to see what it is worth; may be repeated.",
      valueName: "part"))
  var without: [Part] = []

  /// Parts that `--without` leaves out.
  enum Part: String, ExpressibleByArgument, CaseIterable {
    case hugePages = "huge-pages"
    case sliceReadiness = "slice-readiness"
    case chunkReadAhead = "chunk-read-ahead"

    var feature: StoreFeatures {
      switch self {
      case .hugePages: .hugePages
      case .sliceReadiness: .sliceReadiness
      case .chunkReadAhead: .chunkReadAhead
      }
    }
  }

  @Flag(
    name: .customLong("warm-up"),
    help: "Evaluate the prompt once before anything is timed, so that experts are in memory.")
  var isWarmedUp = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (1...1_000_000).contains(prefill), (0...1_000_000).contains(decode) else {
      throw ValidationError(
        "--prefill takes 1 to 1000000 and --decode 0 to 1000000, found \(prefill) and \(decode)")
    }
  }

  private struct Report: Encodable {
    let prefill: PhaseReport
    let decode: PhaseReport
    let peakMemoryBytes: UInt64
  }

  func run() throws {
    try runCommand("moerun") {
      let tokenizer = try Tokenizer(packAt: model.pack)
      // One token more than is timed: the prompt's evaluation gives the first.
      let loaded = try model.load(
        contextLength: prefill + decode,
        features: without.reduce(.all) { $0.subtracting($1.feature) })
      loaded.model.store.populate()
      let session = try Session(model: loaded.model)
      session.populate()
      let prompt = Self.prompt(
        count: prefill, vocabulary: loaded.model.config.vocabularySize)
      if isWarmedUp {
        // The logits of all tokens: then the last layer's experts are used, too.
        try session.evaluate(prompt, logits: .all) { _, _ in }
        session.reset()
      }
      let hot = warmth.begin(loaded, isDefault: false)
      defer { hot.keep() }
      let result = try observation.watch(
        loaded, budget: model.budget, promptTokens: prefill, maximumTokens: decode
      ) { onStep in
        try Generator(session: session, tokenizer: tokenizer).run(
          prompt: prompt,
          settings: .init(
            maximumTokens: decode == 0 ? 0 : decode + 1, sampler: .greedy, ignoresEnd: true),
          onStep: onStep, onText: { _ in })
      }
      let memory = MemoryReport(model: loaded.model, budget: model.budget)
      if json {
        try Console.json(
          RunDocument(
            results: Report(
              prefill: result.prefill, decode: result.decode, peakMemoryBytes: memory.peakBytes),
            facts: RunFacts(loaded, memory: memory)))
        return
      }
      Console.line(RunReport.table([("prefill", result.prefill), ("decode", result.decode)]))
      Console.message(
        RunReport.line(
          [("prompt", result.prefill), ("decode", result.decode)], memory: memory,
          model: loaded.model))
    }
  }

  /// `count` ids below `vocabulary`, the same every time: a linear congruential generator with the
  /// constants of Knuth's MMIX (The Art of Computer Programming, volume 2, 3.3.4).
  private static func prompt(count: Int, vocabulary: Int) -> [Int32] {
    var state: UInt64 = 1
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int32((state >> 33) % UInt64(max(vocabulary, 1)))
    }
  }
}
