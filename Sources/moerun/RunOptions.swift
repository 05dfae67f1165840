public import ArgumentParser
import CommandSupport
import ExpertPack
public import ExpertStore
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

  @Option(help: ArgumentHelp("Threads that compute. (default: all processors)", valueName: "n"))
  var threads: Int?

  @Option(
    name: .customLong("io-threads"),
    help: ArgumentHelp("Threads that read experts.", valueName: "n"))
  var ioThreads = RunOptions.defaultIOThreads

  @Option(help: ArgumentHelp("Tokens of a prompt evaluated at a time.", valueName: "n"))
  var batch = 64

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
    name: .customLong("experts-used"),
    help: ArgumentHelp(
      "Experts a token uses in a layer; changes the text. (default: the model's own)",
      valueName: "k"))
  var expertsUsed: Int?

  /// Readers in flight: enough to keep an SSD's queue filled (16 reached 1.1 times the rate of 1
  /// with huge-page buffers), few enough to cost nothing.
  static let defaultIOThreads = 8

  func validate() throws {
    guard (1...64).contains(ioThreads) else {
      throw ValidationError("--io-threads takes 1 to 64, found \(ioThreads)")
    }
    if let threads, !(1...256).contains(threads) {
      throw ValidationError("--threads takes 1 to 256, found \(threads)")
    }
    guard (1...4096).contains(batch) else {
      throw ValidationError("--batch takes 1 to 4096, found \(batch)")
    }
    if let expertsUsed, !(1...1024).contains(expertsUsed) {
      throw ValidationError("--experts-used takes 1 to 1024, found \(expertsUsed)")
    }
  }

  /// Bytes that the run may take.
  var budget: UInt64 { memory?.bytes ?? SystemMemory.defaultBudget }

  /// Opens the pack and loads what stays in memory.
  /// - Parameters:
  ///   - contextLength: Positions that the session will have.
  ///   - besides: Bytes of the budget that the command itself holds while the model runs.
  /// - Returns: The model, ready for a session.
  /// - Throws: What is wrong with the pack or its model, and the numbers when it does not fit.
  func load(contextLength: Int, besides: Int = 0) throws -> Model {
    var options = modelOptions(contextLength: contextLength)
    options.memoryBudget = options.memoryBudget.map { max(0, $0 - besides) }
    return try Model.load(pack: try PackDirectory.open(pack), options: options)
  }

  /// These options as the model takes them.
  func modelOptions(contextLength: Int) -> ModelOptions {
    var options = ModelOptions(threads: threads ?? SystemMemory.processorCount)
    options.memoryBudget = Int(clamping: budget)
    options.contextLength = contextLength
    options.batch = batch
    options.readThreads = ioThreads
    options.verification = verifyReads
    options.cachePolicy = cachePolicy
    options.expertsUsed = expertsUsed
    return options
  }
}

extension ReadVerification: ExpressibleByArgument {}
extension CachePolicy: ExpressibleByArgument {}
