public import ExpertStore
public import FileIO
public import Kernels
internal import Tensors

/// How a model is to be run. No choice but ``instructionSet``, ``expertsUsed``, ``precision`` and
/// ``keyValueType`` changes any result.
public struct ModelOptions: Sendable {
  /// Bytes that everything together may take; nil for no limit.
  public var memoryBudget: Int?
  /// Bytes of the budget that the caller itself holds while the model runs.
  public var reservedBytes = 0
  /// Positions of a session, cut to what the model was made for.
  public var contextLength = 4096
  /// Sessions that may live at once.
  public var sessionCount = 1
  /// Tokens that go through a layer together, 1 to ``largestBatch``; nil for as many as the budget
  /// allows, up to ``largestBatch``.
  public var batch: Int?
  /// Threads that compute, 1 to 1024.
  public var threads: Int
  /// Whether each of these stays on a core of its own.
  public var pinsThreads = false
  /// How experts are read.
  public var reading = ReadSettings.standard
  /// When weights are compared with their checksums.
  public var verification = ReadVerification.first
  /// Instructions to use; nil for the best that the CPU has.
  public var instructionSet: InstructionSet?
  /// Which expert makes room for one that has to be read.
  public var cachePolicy = CachePolicy.auto
  /// What experts are read ahead of their router's choice.
  public var prefetch = PrefetchChoice.off
  /// What the expert store does to be fast.
  public var storeFeatures = StoreFeatures.all
  /// Routed experts a token, instead of the model's own top-k; nil for that.
  public var expertsUsed: Int?
  /// How much of activations products use where the instruction set quantises them: 16 bits are as
  /// good as floats, 8 bits are what llama.cpp uses.
  public var precision = Activations.Precision.bits16
  /// What keys and values are kept as; nil for half precision, as other engines do, and for F32 with
  /// scalar instructions, which are the exact definition of everything.
  public var keyValueType: KeyValueType?
  /// Experts to hold at most, whatever the budget; nil for as many as fit.
  public var maximumSlots: Int?

  /// Makes the queue that experts are read with; nil for the one that ``reading`` describes.
  package var makeReadQueue: ReadQueueFactory?

  /// Options with `threads` compute threads and defaults for the rest.
  public init(threads: Int) {
    self.threads = threads
  }

  /// The largest batch that is chosen at the cost of slots. Every chunk reads nearly all experts of a
  /// model, so a prompt is faster the fewer chunks it has; with 512 tokens of a model with 512 experts
  /// and a top-k of 10 an expert computes 10 tokens for being read once.
  public static let defaultBatch = 512
  /// The smallest batch that is chosen to save memory.
  public static let smallestBatch = 32
  /// The largest batch that may be asked for, and the one where memory does not set a limit.
  public static let largestBatch = 2048

  var effectiveThreads: Int { min(max(threads, 1), 1024) }

  /// ``keyValueType`` or what stands for nil, when heads of the model called `name` can be kept like
  /// that.
  func keyValueType(for config: ModelConfig, name: String) throws -> KeyValueType {
    guard let type = keyValueType else {
      return try instructionSet ?? InstructionSet.detected() == .scalar ? .f32 : .f16
    }
    let size = config.attention.headSize
    guard type.isPossible(size: size) else {
      throw ModelGraphError(
        .invalidConfiguration,
        "\(name): keys and values of type \(type) need heads of a multiple of "
          + "\(type.tensorType.blockSize) elements, found \(size); use f16 or f32")
    }
    return type
  }
}
