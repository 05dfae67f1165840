public import ArgumentParser
import CommandSupport
import ExpertPack
public import ExpertStore
import FileIO
import Kernels
import ModelGraph

/// Options of every command that runs the model.
struct RunOptions: ParsableArguments {
  @Argument(help: "The pack.", completion: .directory)
  var pack: String

  @Option(
    help: ArgumentHelp(
      "Most memory to use for everything, as in 8GiB. (default: 80 % of what is usable)",
      valueName: "size"))
  var memory: ByteSize?

  @Option(help: ArgumentHelp("Threads that compute. (default: one a core)", valueName: "n"))
  var threads: Int?

  @Flag(help: "Keep each compute thread on a core of its own.")
  var pin = false

  @Option(
    name: .customLong("io-backend"),
    help: ArgumentHelp(
      "How experts are read: uring, pread or auto, what the disk does best.", valueName: "backend"))
  var ioBackend = BackendChoice.auto

  @Option(
    name: .customLong("io-threads"),
    help: ArgumentHelp(
      "Reads at once: threads with pread, ring entries with uring, 1 to 64. (default: measured)",
      valueName: "n"))
  var ioThreads: Int?

  @Option(
    name: .customLong("io-split"),
    help: ArgumentHelp(
      "Reads that an expert is cut into: 1, 2, 4 or 8. (default: measured)", valueName: "n"))
  var ioSplit: Int?

  @Option(
    help: ArgumentHelp(
      "Tokens of a prompt evaluated at a time, up to 2048. (default: 2048, less if memory is short)",
      valueName: "n"))
  var batch: Int?

  @Option(
    name: .customLong("verify-reads"),
    help: ArgumentHelp("Check slices when read: first, always or off.", valueName: "when"))
  var verifyReads = ReadVerification.first

  @Option(
    name: .customLong("cache-policy"),
    help: ArgumentHelp(
      "Which expert makes room: lru, crf (frequency and recency), or auto, the better of both.",
      valueName: "policy"))
  var cachePolicy = CachePolicy.auto

  @Option(
    help: ArgumentHelp(
      """
      Experts to read before they are asked for, when the disk idles: off, auto (the next layer's \
      router, while it pays), or always previous-token, popularity or next-layer-router.
      """, valueName: "predictor"))
  var prefetch = PrefetchChoice.off

  @Option(
    name: .customLong("experts-used"),
    help: ArgumentHelp(
      "Experts a token uses in a layer; changes the text. (default: the model's own)",
      valueName: "k"))
  var expertsUsed: Int?

  @Option(
    help: ArgumentHelp(
      "Bits of activations in products with quantised weights: 8, as in llama.cpp, or 16, as good as "
        + "floats and slower with prompts; changes the text a little.",
      valueName: "bits"))
  var activations = ActivationBits.eight

  @Option(
    name: .customLong("kv-type"),
    help: ArgumentHelp(
      "What keys and values of the context are kept as: f16, q8_0 (half of that) or f32 (exact, "
        + "twice that); changes the text a little. (default: f16; f32 with scalar instructions)",
      valueName: "type"))
  var keyValueType: KeyValueType?

  func validate() throws {
    if let ioThreads, !(1...64).contains(ioThreads) {
      throw ValidationError("--io-threads takes 1 to 64, found \(ioThreads)")
    }
    if let ioSplit, !ReadSettings.splits.contains(ioSplit) {
      throw ValidationError("--io-split takes 1, 2, 4 or 8, found \(ioSplit)")
    }
    if let threads, !(1...256).contains(threads) {
      throw ValidationError("--threads takes 1 to 256, found \(threads)")
    }
    if let batch, !(1...ModelOptions.largestBatch).contains(batch) {
      throw ValidationError("--batch takes 1 to \(ModelOptions.largestBatch), found \(batch)")
    }
    if let expertsUsed, !(1...1024).contains(expertsUsed) {
      throw ValidationError("--experts-used takes 1 to 1024, found \(expertsUsed)")
    }
  }

  /// Bytes that the run may take.
  var budget: UInt64 { memory?.bytes ?? SystemMemory.defaultBudget }

  /// A loaded model, and how it reads its experts.
  struct Loaded {
    let model: Model
    let reading: ReadReport
    /// The pack's own digest.
    let digest: Digest128
  }

  /// Opens the pack and loads what stays in memory.
  /// - Parameters:
  ///   - contextLength: Positions that the session will have.
  ///   - besides: Bytes of the budget that the command itself holds while the model runs.
  ///   - features: What the expert store does to be fast.
  /// - Returns: The model, ready for a session, and how it reads.
  /// - Throws: What is wrong with the pack or its model, and the numbers when it does not fit.
  func load(
    contextLength: Int, besides: Int = 0, features: StoreFeatures = .all
  ) throws -> Loaded {
    let pack = try PackDirectory.open(pack)
    let choice = try readChoice(for: pack)
    var options = modelOptions(contextLength: contextLength, reading: choice.settings)
    options.reservedBytes = besides
    options.storeFeatures = features
    let model = try Model.load(pack: pack, options: options)
    let reading = ReadReport(
      choice, settings: model.store.reading, hasRegisteredMemory: model.store.isMemoryRegistered)
    return Loaded(model: model, reading: reading, digest: pack.digest)
  }

  /// How `pack` is to be read.
  func readChoice(for pack: PackDirectory) throws -> ReadChoice {
    try ReadChoice(
      pack: pack, backend: ReadBackend(rawValue: ioBackend.rawValue), depth: ioThreads,
      split: ioSplit)
  }

  /// These options as the model takes them.
  func modelOptions(contextLength: Int, reading: ReadSettings) -> ModelOptions {
    var options = ModelOptions(threads: threads ?? SystemMemory.coreCount)
    options.pinsThreads = pin
    options.memoryBudget = Int(clamping: budget)
    options.contextLength = contextLength
    options.batch = batch
    options.reading = reading
    options.verification = verifyReads
    options.cachePolicy = cachePolicy
    options.prefetch = prefetch
    options.expertsUsed = expertsUsed
    options.precision = activations.precision
    options.keyValueType = keyValueType
    return options
  }
}

extension ReadVerification: ExpressibleByArgument {}
extension CachePolicy: ExpressibleByArgument {}
extension PrefetchChoice: ExpressibleByArgument {}
extension KeyValueType: ExpressibleByArgument {}

/// What `--activations` takes.
enum ActivationBits: Int, ExpressibleByArgument, CaseIterable {
  case eight = 8
  case sixteen = 16

  var precision: Activations.Precision { self == .eight ? .bits8 : .bits16 }
}

/// What `--io-backend` takes.
enum BackendChoice: String, ExpressibleByArgument, CaseIterable {
  case auto, uring, pread
}
