import ArgumentParser
import CommandSupport
import ExpertPack
import ExpertStore
import FileIO
import GGUF
import Generation
import ModelGraph
import Replay
import Tokenizers

struct Trace: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Record which experts a text uses.",
    discussion: """
      Evaluates a prompt, or a file, continues it by -n tokens, and writes the experts that each \
      token asks for in each layer as CSV, for moerun simulate. The prompt's rows stand in the \
      order they were computed: --batch tokens at a time, layer by layer. In the last layer the \
      prompt's last token alone asks for experts.
      """)

  @OptionGroup var model: RunOptions

  @Option(name: .shortAndLong, help: "The file with the text.", completion: .file())
  var file: String?

  @Option(name: .shortAndLong, help: "The text itself; special tokens in it count as such.")
  var prompt: String?

  @Option(
    name: [.customShort("n"), .customLong("max-tokens")],
    help: ArgumentHelp("Most tokens to generate, the most probable ones.", valueName: "n"))
  var count = 128

  @Option(name: .shortAndLong, help: "The file to write.")
  var output: String

  @Flag(name: .customLong("ignore-eos"), help: "Go on after an end-of-text token.")
  var ignoreEnd = false

  func validate() throws {
    guard (file == nil) != (prompt == nil) else {
      throw ValidationError("give either -f FILE or -p TEXT")
    }
    guard (0...1_000_000).contains(count) else {
      throw ValidationError("-n takes 0 to 1000000, found \(count)")
    }
  }

  func run() throws {
    try runCommand("moerun") {
      let tokenizer = try Tokenizer(packAt: model.pack)
      let bytes = try file.map { try TextInput.bytes($0) } ?? Array((prompt ?? "").utf8)
      let ids = try tokenizer.encode(bytes: bytes)
      let loaded = try model.load(contextLength: ids.count + count).model
      let session = try Session(model: loaded)
      let recorder = try RoutingRecorder(
        model: loaded, pack: try PackDirectory.open(model.pack), promptCount: ids.count)
      session.observer = recorder.observe
      let result = try Generator(session: session, tokenizer: tokenizer).run(
        prompt: ids,
        settings: .init(maximumTokens: count, sampler: .greedy, ignoresEnd: ignoreEnd),
        onText: { _ in })
      Interruption.removes(output + ".partial")
      try AtomicFile.write(recorder.trace.csv, to: output)
      Console.message(
        "moerun: \(output): routing of \(ids.count) prompt tokens and "
          + "\(result.decode.tokens) generated ones")
      RunReport.print(
        [("prompt", result.prefill), ("decode", result.decode)],
        memory: MemoryReport(model: loaded, budget: model.budget), model: loaded)
    }
  }
}

/// Collects the router's choices that a session shows its observer.
final class RoutingRecorder {
  private(set) var trace: RoutingTrace
  private let model: Model
  private let promptCount: Int
  private let expertBytes: [Int]
  /// Weights of the chunk at hand, `[tokens, top-k]`, shown before the experts.
  private var weights: [Float] = []
  /// Tokens of the chunks before the one at hand, and its own.
  private var evaluated = 0
  private var chunkTokens = 0

  init(model: Model, pack: PackDirectory, promptCount: Int) throws {
    self.model = model
    self.promptCount = promptCount
    var dense = [Int](repeating: 0, count: model.config.layerCount)
    for tensor in pack.source.tensors {
      let name = tensor.name.description
      guard name.hasPrefix("blk."), pack.residentTensor(name) != nil,
        let layer = Int(name.dropFirst(4).prefix { $0 != "." }), dense.indices.contains(layer)
      else { continue }
      dense[layer] += Int(tensor.byteCount)
    }
    expertBytes = dense.indices.map { layer in
      guard (pack.expertLayer(layer)?.expertCount ?? 0) > 0 else { return 0 }
      return pack.placement(layer: layer, expert: 0).reads.reduce(0) { $0 + $1.length }
    }
    let name = (try? pack.source.metadata.optionalString("general.name")) ?? nil
    trace = RoutingTrace(
      model: name ?? pack.path, architecture: model.config.architecture,
      expertCount: model.config.experts.count, usedCount: model.config.experts.usedCount,
      batch: model.batch,
      layers: zip(expertBytes, dense).map { RoutingTrace.Layer(expertBytes: $0, denseBytes: $1) })
  }

  func observe(
    _ name: String, layer: Int?, _ values: UnsafeBufferPointer<Float>, _ shape: [Int]
  ) {
    guard let layer else { return }
    if name == "attn_norm-0" {
      evaluated += chunkTokens
      chunkTokens = shape[0]
    }
    if name.hasPrefix("ffn_moe_weights_norm-") { weights = Array(values) }
    guard name.hasPrefix("ffn_moe_topk-") else { return }
    let (tokens, used) = (shape[0], shape[1])
    // A missing expert is read once for all tokens of the chunk.
    var read = Set<Int>()
    for token in 0..<tokens {
      // The last layer has experts for a chunk's last tokens alone.
      let step = evaluated + chunkTokens - tokens + token
      let choices = (token * used..<(token + 1) * used).map { index in
        let expert = Int(values[index])
        let isResident = model.store.isResident(layer: layer, expert: expert)
        let isRead = !isResident && read.insert(expert).inserted
        return RoutingTrace.Choice(
          expert: expert, weight: weights[index], isResident: isResident,
          bytesRead: isRead ? expertBytes[layer] : 0)
      }
      trace.append(
        turn: 0, phase: step < promptCount ? .prefill : .decode, step: step, layer: layer,
        choices: choices)
    }
  }
}
