public import ExpertPack
public import ExpertStore
public import Kernels
internal import FileIO
internal import Synchronization

/// A loaded model: resident weights, the expert store and the threads that compute.
///
/// Shared by its sessions; any thread may use it.
public final class Model: Sendable {
  /// What the model is.
  public let config: ModelConfig
  /// What it takes.
  public let plan: MemoryPlan
  /// Where its experts come from.
  public let store: ExpertStore
  /// Instructions that its arithmetic uses.
  public var instructionSet: InstructionSet { kernels.instructionSet }
  /// Threads that compute.
  public var threadCount: Int { pool.threads }
  /// Tokens that go through a layer together.
  public var batch: Int { plan.batch }
  /// What experts are read ahead of their router's choice.
  public let prefetch: PrefetchChoice

  /// How much of activations products use where they are quantised.
  public let precision: Activations.Precision
  /// Bits of an activation in products with quantised weights: 32 where they stay floats.
  public var activationBits: Int {
    guard kernels.quantizedByteCount(columns: 32) > 0 else { return 32 }
    return precision == .bits16 ? 16 : 8
  }

  let weights: ModelWeights
  let kernels: KernelSet
  let pool: ComputePool
  let angles: RotaryAngles
  private let liveSessions = Mutex(0)

  private init(
    config: ModelConfig, plan: MemoryPlan, store: ExpertStore, weights: ModelWeights,
    kernels: KernelSet, options: ModelOptions
  ) {
    self.config = config
    self.plan = plan
    self.store = store
    self.weights = weights
    self.kernels = kernels
    prefetch = options.prefetch
    precision = options.precision
    pool = ComputePool(
      threads: options.effectiveThreads, isPinned: options.pinsThreads)
    angles = RotaryAngles(config.attention)
  }

  /// Checks the model in `pack`, plans its memory and reads its resident weights.
  ///
  /// Nothing of the weights is read before everything is known to fit.
  /// - Throws: ``ModelGraphError`` for a model that this graph does not compute or that does not
  ///   fit, and errors of the pack, its files and the instruction set.
  public static func load(pack: PackDirectory, options: ModelOptions) throws -> Model {
    let config = try ModelConfig(pack: pack).usingExperts(options.expertsUsed)
    let kernels = KernelSet(try options.instructionSet ?? InstructionSet.detected())
    let source = ExpertSource(pack: pack, layerCount: config.layerCount)
    let plan = try MemoryPlan(pack: pack, config: config, options: options)
    let image = try pack.loadResident(
      verify: options.verification != .off, threads: options.reading.depth)
    let weights = try ModelWeights(pack: pack, config: config, image: image, kernels: kernels)
    let store = try ExpertStore(
      source: source, slotCount: plan.slotCount, minimumSlots: config.experts.usedCount,
      reading: options.reading, verification: options.verification,
      policy: options.cachePolicy, features: options.storeFeatures,
      makeQueue: options.makeReadQueue ?? options.reading.makeQueue(files:memory:piece:))
    return Model(
      config: config, plan: plan, store: store, weights: weights, kernels: kernels,
      options: options)
  }

  /// Counts a session in, for as long as the lease lives; throws when the plan has no memory for it.
  func beginSession() throws -> SessionLease {
    try liveSessions.withLock { count in
      guard count < plan.sessionCount else {
        throw ModelGraphError(
          .outOfBudget,
          "the memory plan has room for \(plan.sessionCount) sessions and all are in use; end one, "
            + "or load the model with a larger session count")
      }
      count += 1
    }
    return SessionLease(model: self)
  }

  fileprivate func endSession() { liveSessions.withLock { $0 -= 1 } }
}

/// A place of the memory plan that a session holds.
final class SessionLease {
  private let model: Model

  fileprivate init(model: Model) { self.model = model }

  deinit { model.endSession() }
}
