internal import FileIO
internal import Kernels

/// Sizes of the buffers of an evaluation: one place that both reserves and counts them.
struct ScratchLayout {
  /// Tokens of a chunk.
  let batch: Int
  /// Attention work items under way at once, each with its own scores.
  let workers: Int
  /// Floats of one worker's scores: `[heads of an item, context]`.
  let scoreStride: Int
  /// Rows of logits computed together.
  let logitRows: Int
  private(set) var floatCount = 0

  private(set) var residual = 0
  private(set) var normed = 0
  private(set) var mixed = 0
  private(set) var cosines = 0
  private(set) var sines = 0
  private(set) var queryAndGate = 0
  private(set) var query = 0
  private(set) var key = 0
  private(set) var value = 0
  private(set) var attended = 0
  private(set) var scores = 0
  private(set) var window = 0
  private(set) var convolved = 0
  private(set) var gate = 0
  private(set) var alpha = 0
  private(set) var beta = 0
  private(set) var recalled = 0
  private(set) var gated = 0
  private(set) var router = 0
  private(set) var weights = 0
  private(set) var sharedGate = 0
  private(set) var sharedUp = 0
  private(set) var shared = 0
  private(set) var sharedWeight = 0
  private(set) var gathered = 0
  private(set) var expertGate = 0
  private(set) var expertUp = 0
  private(set) var partial = 0
  private(set) var pairs = 0
  private(set) var routed = 0
  private(set) var logits = 0
  private(set) var quantized = 0
  private(set) var quantizedInner = 0

  /// Query heads that one attention work item handles at most.
  static let headsPerItem = 4

  init(config: ModelConfig, contextLength: Int, batch: Int, threads: Int) {
    self.batch = batch
    workers = threads
    scoreStride = Self.headsPerItem * contextLength
    logitRows = min(batch, 8)
    let attention = config.attention
    let delta = config.deltaNet
    let experts = config.experts
    let hidden = batch * config.hiddenSize
    residual = reserve(hidden)
    normed = reserve(hidden)
    mixed = reserve(hidden)
    cosines = reserve(batch * attention.rotatedSize / 2)
    sines = reserve(batch * attention.rotatedSize / 2)
    queryAndGate = reserve(batch * 2 * attention.querySize)
    query = reserve(batch * attention.querySize)
    key = reserve(batch * attention.keyValueSize)
    value = reserve(batch * attention.keyValueSize)
    attended = reserve(batch * attention.querySize)
    scores = reserve(workers * scoreStride)
    window = reserve((batch + delta.convolutionWidth - 1) * delta.channelCount)
    convolved = reserve(batch * delta.channelCount)
    gate = reserve(batch * delta.valueSize)
    alpha = reserve(batch * delta.valueHeadCount)
    beta = reserve(batch * delta.valueHeadCount)
    recalled = reserve(batch * delta.valueSize)
    gated = reserve(batch * delta.valueSize)
    router = reserve(batch * experts.count)
    weights = reserve(batch * experts.usedCount)
    sharedGate = reserve(batch * experts.sharedIntermediateSize)
    sharedUp = reserve(batch * experts.sharedIntermediateSize)
    shared = reserve(hidden)
    sharedWeight = reserve(batch)
    gathered = reserve(hidden)
    expertGate = reserve(batch * experts.intermediateSize)
    expertUp = reserve(batch * experts.intermediateSize)
    partial = reserve(hidden)
    pairs = reserve(hidden * experts.usedCount)
    routed = reserve(hidden)
    logits = reserve(logitRows * config.vocabularySize)
    // Whatever the instruction set: one plan for all.
    let inner = max(
      attention.querySize, delta.valueSize, experts.sharedIntermediateSize,
      experts.intermediateSize)
    quantized = reserve(batch * Self.quantizedFloats(config.hiddenSize))
    quantizedInner = reserve(batch * Self.quantizedFloats(inner))
  }

  /// Floats as long as a quantised row of `columns` activations, at most.
  private static func quantizedFloats(_ columns: Int) -> Int {
    InstructionSet.allCases.filter(\.isAvailable).map {
      KernelSet($0).quantizedByteCount(columns: columns)
    }.max().map { $0 / 4 } ?? 0
  }

  /// Bytes of all buffers.
  var byteCount: Int { floatCount * 4 }

  /// Takes `count` floats on cache lines of their own and returns where they start.
  private mutating func reserve(_ count: Int) -> Int {
    defer { floatCount += (count + 15) / 16 * 16 }
    return floatCount
  }
}

/// The buffers of one session, made once. Each states its shape with B for the tokens of a chunk.
final class Scratch {
  typealias Buffer = UnsafeMutablePointer<Float>

  let layout: ScratchLayout
  private let memory: AlignedBuffer

  let residual: Buffer  // [B, hidden]: the stream that every block adds to
  let normed: Buffer  // [B, hidden]: input of the block at work
  let mixed: Buffer  // [B, hidden]: output of the mixer
  let cosines: Buffer  // [B, rotated / 2]
  let sines: Buffer  // [B, rotated / 2]
  let queryAndGate: Buffer  // [B, heads, 2, head size]
  let query: Buffer  // [B, heads, head size]
  let key: Buffer  // [B, kv heads, head size]
  let value: Buffer  // [B, kv heads, head size]
  let attended: Buffer  // [B, heads, head size]
  let scores: Buffer  // [workers, heads of an item, context]
  let window: Buffer  // [width - 1 + B, channels]: inputs of the convolution
  let convolved: Buffer  // [B, channels]
  let gate: Buffer  // [B, value heads, head size]: z
  let alpha: Buffer  // [B, value heads]: logarithm of the decay
  let beta: Buffer  // [B, value heads]
  let recalled: Buffer  // [B, value heads, head size]: what the state gives for the query
  let gated: Buffer  // [B, value heads, head size]
  let router: Buffer  // [B, experts]
  let weights: Buffer  // [B, top-k]
  let sharedGate: Buffer  // [B, shared intermediate]
  let sharedUp: Buffer  // [B, shared intermediate]
  let shared: Buffer  // [B, hidden]
  let sharedWeight: Buffer  // [B]
  let gathered: Buffer  // [tokens of an expert, hidden]
  let expertGate: Buffer  // [slices, tokens of an expert, intermediate / slices]
  let expertUp: Buffer  // like expertGate
  let partial: Buffer  // [tokens of an expert, hidden]: output of one slice
  let pairs: Buffer  // [B * top-k, hidden]: outputs of experts, grouped by expert
  let routed: Buffer  // [B, hidden]
  let logits: Buffer  // [logitRows, vocabulary]
  let quantized: UnsafeMutableRawPointer  // [B, hidden]: `normed`, quantised
  let quantizedInner: UnsafeMutableRawPointer  // [B, any]: quantised within a block

  init(layout: ScratchLayout) throws {
    self.layout = layout
    memory = try AlignedBuffer(count: layout.byteCount)
    guard let base = memory.bytes.baseAddress?.assumingMemoryBound(to: Float.self) else {
      preconditionFailure("a buffer always has an address")
    }
    residual = base + layout.residual
    normed = base + layout.normed
    mixed = base + layout.mixed
    cosines = base + layout.cosines
    sines = base + layout.sines
    queryAndGate = base + layout.queryAndGate
    query = base + layout.query
    key = base + layout.key
    value = base + layout.value
    attended = base + layout.attended
    scores = base + layout.scores
    window = base + layout.window
    convolved = base + layout.convolved
    gate = base + layout.gate
    alpha = base + layout.alpha
    beta = base + layout.beta
    recalled = base + layout.recalled
    gated = base + layout.gated
    router = base + layout.router
    weights = base + layout.weights
    sharedGate = base + layout.sharedGate
    sharedUp = base + layout.sharedUp
    shared = base + layout.shared
    sharedWeight = base + layout.sharedWeight
    gathered = base + layout.gathered
    expertGate = base + layout.expertGate
    expertUp = base + layout.expertUp
    partial = base + layout.partial
    pairs = base + layout.pairs
    routed = base + layout.routed
    logits = base + layout.logits
    quantized = UnsafeMutableRawPointer(base + layout.quantized)
    quantizedInner = UnsafeMutableRawPointer(base + layout.quantizedInner)
  }
}
