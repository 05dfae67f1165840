public import Kernels

/// What a model needs of memory, and how many experts fit beside it. Pure arithmetic.
///
/// The budget is a wall: everything the process holds is counted, and what cannot fit is refused
/// before anything is loaded.
public struct MemoryPlan: Sendable, Equatable {
  /// The model's side of the sum.
  public struct Demand: Sendable, Equatable {
    /// Bytes of the weights that stay resident.
    public var residentBytes: Int
    /// Bytes of the pack's tables: headers and checksums.
    public var tableBytes: Int
    /// Bytes of one expert's slot.
    public var slotBytes: Int
    /// Experts of all layers.
    public var expertCount: Int
    /// Bytes of the process itself: ``MemoryPlan/processBytes(headerBytes:)``.
    public var processBytes: Int

    /// A demand of these sizes.
    public init(
      residentBytes: Int, tableBytes: Int, slotBytes: Int, expertCount: Int,
      processBytes: Int = MemoryPlan.processAllowance
    ) {
      self.residentBytes = residentBytes
      self.tableBytes = tableBytes
      self.slotBytes = slotBytes
      self.expertCount = expertCount
      self.processBytes = processBytes
    }
  }

  /// Least bytes set aside for the process itself: code, runtime, stacks, tokenizer.
  public static let processAllowance = 64 << 20

  /// Bytes set aside for the process when the headers, with the vocabulary, have `headerBytes`.
  ///
  /// Measured in release on x86 Linux: 18 MiB beside a vocabulary of 512 tokens, and 68 MiB beside one
  /// of 248,320 tokens and as many merges in 14.3 MB of headers, in the strings that are read once as
  /// much as in the tables that stay.
  public static func processBytes(headerBytes: Int) -> Int {
    max(processAllowance, (24 << 20) + headerBytes / 2 * 7)
  }

  /// Positions of a session.
  public let contextLength: Int
  /// Tokens that go through a layer together.
  public let batch: Int
  /// Sessions at once.
  public let sessionCount: Int
  /// The model's weights and tables.
  public let demand: Demand
  /// What keys and values are kept as.
  public let keyValueType: KeyValueType
  /// Bytes of keys and values, all sessions.
  public let cacheBytes: Int
  /// Bytes of recurrent state, all sessions.
  public let stateBytes: Int
  /// Bytes of intermediate results, all sessions.
  public let scratchBytes: Int
  /// Experts held at once.
  public let slotCount: Int
  /// Bytes that the caller holds beside the model.
  public let reservedBytes: Int
  /// Bytes that were allowed, nil for no limit.
  public let budget: Int?

  /// Bytes of everything but experts.
  public var fixedBytes: Int {
    demand.residentBytes + demand.tableBytes + cacheBytes + stateBytes + scratchBytes
      + demand.processBytes + reservedBytes
  }

  /// Bytes of all slots.
  public var slotPoolBytes: Int { slotCount * demand.slotBytes }

  /// Bytes of everything.
  public var totalBytes: Int { fixedBytes + slotPoolBytes }

  /// Slots for experts that are read ahead in a chunk of a prompt, beside those that one token needs.
  /// 16 experts in quarters are 64 reads, as many as the deepest queue has in flight.
  static let readAheadSlots = 16

  /// Plans a model.
  ///
  /// A batch that the options leave open is the largest power of two, from 2048 down to 32, beside which
  /// the budget has slots for one token and for 16 experts read ahead: a larger one would make the disk
  /// wait for compute. More than 512 must leave room for all experts, or take no more than 1/32 of the
  /// budget, since slots that go to buffers are missing when tokens are generated. Never is it more than
  /// the context.
  /// - Parameters:
  ///   - name: What messages call the model.
  ///   - config: Its hyper-parameters.
  ///   - demand: Its weights.
  ///   - options: Budget, context, batch, threads and sessions; a context longer than the model's
  ///     is cut to it, and a batch longer than the context.
  /// - Throws: ``ModelGraphError`` with all the numbers when fewer experts fit than a token uses.
  public init(
    name: String, config: ModelConfig, demand: Demand, options: ModelOptions
  ) throws {
    let context = min(max(options.contextLength, 1), config.contextLength)
    let sessions = max(options.sessionCount, 1)
    contextLength = context
    sessionCount = sessions
    self.demand = demand
    keyValueType = try options.keyValueType(for: config, name: name)
    cacheBytes =
      sessions
      * KVCache.byteCount(config: config, contextLength: context, type: keyValueType)
    stateBytes = sessions * RecurrentState.byteCount(config: config)
    reservedBytes = options.reservedBytes
    budget = options.memoryBudget

    let unscratched =
      demand.residentBytes + demand.tableBytes + cacheBytes + stateBytes + demand.processBytes
      + options.reservedBytes
    let wanted = min(options.maximumSlots ?? demand.expertCount, demand.expertCount)
    let minimum = config.experts.usedCount
    func scratch(_ batch: Int) -> Int {
      sessions
        * ScratchLayout(
          config: config, batch: batch, threads: options.effectiveThreads
        ).byteCount
    }
    func slots(beside scratchBytes: Int) -> Int {
      guard let budget = options.memoryBudget else { return wanted }
      return min(wanted, max(0, budget - unscratched - scratchBytes) / max(1, demand.slotBytes))
    }
    func isSmallEnough(_ batch: Int) -> Bool {
      let bytes = scratch(min(batch, context))
      let isCheap = bytes <= (options.memoryBudget ?? .max) / 32
      let enough =
        batch <= ModelOptions.defaultBatch || isCheap ? minimum + Self.readAheadSlots : wanted
      return slots(beside: bytes) >= min(wanted, enough)
    }
    var batch = min(max(options.batch ?? ModelOptions.largestBatch, 1), ModelOptions.largestBatch)
    if options.batch == nil {
      while batch > ModelOptions.smallestBatch, !isSmallEnough(batch) { batch /= 2 }
    }
    batch = min(batch, context)
    self.batch = batch
    scratchBytes = scratch(batch)
    slotCount = slots(beside: scratchBytes)
    let fixed = unscratched + scratchBytes
    guard slotCount >= minimum else {
      let parts =
        "resident weights \(Self.text(demand.residentBytes)), KV cache for \(context) tokens "
        + "\(Self.text(cacheBytes)), recurrent state \(Self.text(stateBytes)), buffers for "
        + "\(batch) tokens at a time \(Self.text(scratchBytes)), tables "
        + "\(Self.text(demand.tableBytes)), process \(Self.text(demand.processBytes))"
        + (reservedBytes > 0 ? ", text and tokens \(Self.text(reservedBytes))" : "")
      let need = Self.text(fixed + minimum * demand.slotBytes, roundingUp: true)
      let given =
        options.memoryBudget.map { "memory is limited to \(Self.text($0))" }
        ?? "experts are limited to \(wanted)"
      throw ModelGraphError(
        .outOfBudget,
        "\(name): \(given), which leaves room for \(slotCount) experts of "
          + "\(Self.text(demand.slotBytes)), a token uses \(minimum) in a layer; give at least "
          + "\(need) (\(parts), \(minimum) experts \(Self.text(minimum * demand.slotBytes)))")
    }
  }

  /// `bytes` in the largest binary unit that leaves a whole number before the point.
  static func text(_ bytes: Int, roundingUp: Bool = false) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var unit = 0
    while unit < units.count - 1, bytes >= 1 << (10 * (unit + 1)) { unit += 1 }
    guard unit > 0 else { return "\(bytes) B" }
    let size = Double(bytes) / Double(1 << (10 * unit)) * 10
    let tenths = Int(roundingUp ? size.rounded(.up) : size.rounded())
    return "\(tenths / 10).\(tenths % 10) \(units[unit])"
  }
}
