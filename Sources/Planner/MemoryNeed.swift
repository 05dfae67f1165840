public import GGUF
internal import ModelGraph
public import Packer

/// What a model needs of memory before it has been packed, and how many experts a budget holds.
///
/// For an architecture that `moerun` runs these are its own sums, to the byte. For others they are an
/// estimate of the same parts: weights, tables and process as there, keys and values in half precision
/// from the metadata, nothing for intermediate results.
public struct MemoryNeed: Sendable {
  /// Where the sums come from.
  public enum Basis: String, Sendable, Encodable {
    /// From the runtime's own plan.
    case moerun
    /// The runtime cannot run the architecture yet.
    case estimate
  }

  /// Where the sums come from.
  public let basis: Basis
  /// Positions of the session.
  public let contextLength: Int
  /// Bytes of the weights that stay resident.
  public let residentBytes: Int
  /// Bytes of headers and checksums.
  public let tableBytes: Int
  /// Bytes of keys and values.
  public let cacheBytes: Int
  /// Bytes of recurrent state.
  public let stateBytes: Int
  /// Bytes of intermediate results with the smallest batch.
  public let scratchBytes: Int
  /// Bytes of the process itself.
  public let processBytes: Int
  /// Bytes of one expert in memory.
  public let slotBytes: Int
  /// Experts of all layers.
  public let expertCount: Int
  /// Experts that a token uses in a layer, and that memory has to hold at least.
  public let usedCount: Int

  private let config: ModelConfig?
  private let threads: Int

  /// Bytes of the smallest budget that the model runs with.
  public var minimumBytes: Int { fixedBytes + usedCount * slotBytes }

  /// Bytes of everything but experts, with the smallest batch.
  public var fixedBytes: Int {
    residentBytes + tableBytes + cacheBytes + stateBytes + scratchBytes + processBytes
  }

  /// Sums up a model.
  /// - Parameters:
  ///   - source: Its header.
  ///   - plan: The pack that it would give.
  ///   - contextLength: Positions of a session.
  ///   - threads: Threads that compute.
  ///   - headerBytes: Bytes of its headers where the header at hand has no tokenizer; nil otherwise.
  /// - Throws: `PackError` or `GGUFError` for metadata that cannot be.
  public init(
    source: GGUFFile, plan: PackPlan, contextLength: Int, threads: Int, headerBytes: Int? = nil
  ) throws {
    let header = headerBytes ?? Self.headerBytes(of: source)
    residentBytes = Int(plan.residentBytes)
    tableBytes = header + Int(plan.checksumBytes)
    slotBytes = Int(plan.layers.map(\.recordBytes).max() ?? 0)
    expertCount = plan.decodedExperts
    processBytes = MemoryPlan.processBytes(headerBytes: header)
    self.threads = threads
    let path = source.shards[0].path
    let embedding = source.tensor(named: "token_embd.weight")
    let config = try? ModelConfig(
      metadata: source.metadata, vocabularySize: embedding?.dimensions.last ?? 0, path: path)
    self.config = config
    if let config {
      basis = .moerun
      usedCount = config.experts.usedCount
      let demand = MemoryPlan.Demand(
        residentBytes: residentBytes, tableBytes: tableBytes, slotBytes: slotBytes,
        expertCount: expertCount, processBytes: processBytes)
      var options = ModelOptions(threads: threads)
      options.contextLength = contextLength
      options.batch = ModelOptions.smallestBatch
      let least = try MemoryPlan(name: path, config: config, demand: demand, options: options)
      self.contextLength = least.contextLength
      cacheBytes = least.cacheBytes
      stateBytes = least.stateBytes
      scratchBytes = least.scratchBytes
    } else {
      basis = .estimate
      let estimate = KeyValueEstimate(source.metadata, architecture: plan.architecture)
      usedCount = Int(clamping: min(plan.expertsUsed ?? 1, 1 << 16))
      self.contextLength = min(contextLength, estimate.contextLength ?? contextLength)
      let (bytes, overflow) = estimate.bytesPerPosition.multipliedReportingOverflow(
        by: self.contextLength)
      cacheBytes = overflow ? 1 << 60 : min(bytes, 1 << 60)
      stateBytes = 0
      scratchBytes = 0
    }
  }

  /// Bytes of a model's headers by the size of its vocabulary, for shapes without a tokenizer: 14.3 MB
  /// were measured with 248,320 tokens and as many merges.
  public static func headerBytes(vocabularySize: Int) -> Int { vocabularySize * 58 }

  private static func headerBytes(of source: GGUFFile) -> Int {
    let bytes = source.shards.reduce(UInt64(0)) { sum, shard in
      let tensors = shard.header.tensors.reduce(UInt64(0)) { $0 + $1.byteCount }
      return sum + shard.fileSize - min(shard.fileSize, tensors)
    }
    return Int(clamping: bytes)
  }

  /// What a budget holds.
  public struct Fit: Sendable {
    /// Experts in memory; fewer than a token uses do not run.
    public let slots: Int
    /// Whether the model runs.
    public let runs: Bool
    /// Tokens of a prompt that are computed together; nil where it is not known.
    public let batch: Int?
  }

  /// What `budget` bytes hold.
  public func fit(budget: UInt64) -> Fit {
    let budget = Int(clamping: min(budget, 1 << 60))
    let room = min(expertCount, max(0, budget - fixedBytes) / max(slotBytes, 1))
    guard room >= usedCount else { return Fit(slots: room, runs: false, batch: nil) }
    guard let config else { return Fit(slots: room, runs: true, batch: nil) }
    var options = ModelOptions(threads: threads)
    options.contextLength = contextLength
    options.memoryBudget = budget
    let demand = MemoryPlan.Demand(
      residentBytes: residentBytes, tableBytes: tableBytes, slotBytes: slotBytes,
      expertCount: expertCount, processBytes: processBytes)
    guard
      let plan = try? MemoryPlan(name: "plan", config: config, demand: demand, options: options)
    else { return Fit(slots: room, runs: false, batch: nil) }
    return Fit(slots: plan.slotCount, runs: true, batch: plan.batch)
  }
}
