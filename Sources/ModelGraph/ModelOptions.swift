public import ExpertStore
public import FileIO
public import Kernels

/// How a model is to be run. No choice but ``instructionSet`` and
/// ``expertsUsed`` changes any result.
public struct ModelOptions: Sendable {
  /// Bytes that everything together may take; nil for no limit.
  public var memoryBudget: Int?
  /// Bytes of the budget that the caller itself holds while the model runs.
  public var reservedBytes = 0
  /// Positions of a session, cut to what the model was made for.
  public var contextLength = 4096
  /// Sessions that may live at once.
  public var sessionCount = 1
  /// Tokens that go through a layer together, 1 to 4096.
  public var batch = 64
  /// Threads that compute, 1 to 1024.
  public var threads: Int
  /// How experts are read.
  public var reading = ReadSettings.standard
  /// When weights are compared with their checksums.
  public var verification = ReadVerification.first
  /// Instructions to use; nil for the best that the CPU has.
  public var instructionSet: InstructionSet?
  /// Which expert makes room for one that has to be read.
  public var cachePolicy = CachePolicy.auto
  /// Routed experts a token, instead of the model's own top-k; nil for that.
  public var expertsUsed: Int?
  /// Experts to hold at most, whatever the budget; nil for as many as fit.
  public var maximumSlots: Int?

  /// Makes the queue that experts are read with; nil for the one that ``reading`` describes.
  package var makeReadQueue: ReadQueueFactory?

  /// Options with `threads` compute threads and defaults for the rest.
  public init(threads: Int) {
    self.threads = threads
  }

  /// No more tokens than a session has positions ever go through a layer together.
  var effectiveBatch: Int { min(max(batch, 1), 4096, max(contextLength, 1)) }
  var effectiveThreads: Int { min(max(threads, 1), 1024) }
}
