internal import ExpertStore
internal import Kernels

/// Sizes of the buffers of an evaluation: one place that both reserves and counts them.
///
/// The mixer, the experts and the head of the model are never at work at the same time, so their
/// buffers share one region; a block's output is added to the stream before the next block writes its
/// own.
struct ScratchLayout {
  /// Tokens of a chunk.
  let batch: Int
  /// Tokens that are computed slice by slice at most; more of them are a chunk.
  let sliceTokens: Int
  /// Attention work items under way at once, each with its own scratch.
  let workers: Int
  /// Floats of one worker's scratch.
  let attentionStride: Int
  /// Rows of logits computed together.
  let logitRows: Int
  private(set) var floatCount = 0

  private(set) var residual = 0
  private(set) var normed = 0
  private(set) var blockOutput = 0
  private(set) var forecastState = 0
  private(set) var forecastScores = 0
  private(set) var cosines = 0
  private(set) var sines = 0
  private(set) var queryAndGate = 0
  private(set) var query = 0
  private(set) var key = 0
  private(set) var value = 0
  private(set) var attended = 0
  private(set) var attention = 0
  private(set) var window = 0
  private(set) var convolved = 0
  private(set) var gate = 0
  private(set) var alpha = 0
  private(set) var beta = 0
  private(set) var recalled = 0
  private(set) var gated = 0
  private(set) var router = 0
  private(set) var weights = 0
  private(set) var shared = 0
  private(set) var sharedWeight = 0
  private(set) var gathered = 0
  private(set) var expertGate = 0
  private(set) var expertUp = 0
  private(set) var expertOutput = 0
  private(set) var partial = 0
  private(set) var sliceGate = 0
  private(set) var sliceUp = 0
  private(set) var sliceOutput = 0
  private(set) var logits = 0
  private(set) var quantized = 0
  private(set) var quantizedInner = 0

  /// Queries, heads of some tokens, that one attention work item handles at most. A key or value is fetched
  /// and turned to floats once for all of them; they and their sums stay in the second cache (128 KiB for
  /// heads of 256).
  static let queriesPerItem = 64

  init(config: ModelConfig, batch: Int, threads: Int) {
    self.batch = batch
    sliceTokens = min(batch, ExpertStore.largestSlicePass)
    workers = threads
    let scratch = KernelSet.attentionScratchCount(
      queries: min(Self.queriesPerItem, batch * config.attention.groupSize),
      size: config.attention.headSize)
    attentionStride = (scratch + 15) / 16 * 16
    logitRows = min(batch, 8)
    let hidden = batch * config.hiddenSize
    residual = reserve(hidden)
    normed = reserve(hidden)
    blockOutput = reserve(hidden)
    // The block whose experts are being read uses its own buffers meanwhile.
    forecastState = reserve(config.hiddenSize)
    forecastScores = reserve(config.experts.count)
    cosines = reserve(batch * config.attention.rotatedSize / 2)
    sines = reserve(batch * config.attention.rotatedSize / 2)
    quantized = reserve(batch * Self.quantizedFloats(config.hiddenSize))
    let start = floatCount
    // The first buffer of each mixer, which is done with when the mixer's output is multiplied.
    quantizedInner = start
    var end = start
    for reserveBlock in [
      Self.reserveAttention, Self.reserveDeltaNet, Self.reserveExperts, Self.reserveLogits,
    ] {
      floatCount = start
      reserveBlock(&self, config)
      end = max(end, floatCount)
    }
    floatCount = end
  }

  private static func reserveAttention(_ layout: inout ScratchLayout, _ config: ModelConfig) {
    let (batch, shape) = (layout.batch, config.attention)
    layout.queryAndGate = layout.reserve(
      batch * max(2 * shape.querySize, quantizedFloats(shape.querySize)))
    layout.query = layout.reserve(batch * shape.querySize)
    layout.key = layout.reserve(batch * shape.keyValueSize)
    layout.value = layout.reserve(batch * shape.keyValueSize)
    layout.attended = layout.reserve(batch * shape.querySize)
    layout.attention = layout.reserve(layout.workers * layout.attentionStride)
  }

  private static func reserveDeltaNet(_ layout: inout ScratchLayout, _ config: ModelConfig) {
    let (batch, shape) = (layout.batch, config.deltaNet)
    let window = (batch + shape.convolutionWidth - 1) * shape.channelCount
    layout.convolved = layout.reserve(
      batch * max(shape.channelCount, quantizedFloats(shape.valueSize)))
    // The convolution is done with its inputs before anything is recalled.
    layout.window = layout.reserve(max(window, batch * shape.valueSize))
    layout.recalled = layout.window
    layout.gate = layout.reserve(batch * shape.valueSize)
    layout.alpha = layout.reserve(batch * shape.valueHeadCount)
    layout.beta = layout.reserve(batch * shape.valueHeadCount)
    layout.gated = layout.reserve(batch * shape.valueSize)
  }

  private static func reserveExperts(_ layout: inout ScratchLayout, _ config: ModelConfig) {
    let (batch, shape) = (layout.batch, config.experts)
    // Rows of slices, which are rounded up one by one.
    let inner = (1...ExpertMatrices.largestSliceCount).map { count in
      count * quantizedFloats((shape.largestIntermediateSize + count - 1) / count)
    }
    _ = layout.reserve(batch * (inner.max() ?? 0))
    layout.router = layout.reserve(batch * shape.count)
    layout.weights = layout.reserve(batch * shape.usedCount)
    layout.shared = layout.reserve(batch * config.hiddenSize)
    layout.sharedWeight = layout.reserve(batch)
    let start = layout.floatCount
    layout.gathered = layout.reserve(batch * config.hiddenSize)
    layout.expertGate = layout.reserve(batch * shape.largestIntermediateSize)
    layout.expertUp = layout.reserve(batch * shape.largestIntermediateSize)
    layout.expertOutput = layout.reserve(batch * config.hiddenSize)
    layout.partial = layout.reserve(batch * config.hiddenSize)
    let end = layout.floatCount
    // A pass is either a chunk or slices.
    layout.floatCount = start
    let rows = layout.sliceTokens * (shape.usedCount + 1)
    layout.sliceGate = layout.reserve(rows * shape.largestIntermediateSize)
    layout.sliceUp = layout.reserve(rows * shape.largestIntermediateSize)
    layout.sliceOutput = layout.reserve(
      rows * ExpertMatrices.largestSliceCount * config.hiddenSize)
    layout.floatCount = max(end, layout.floatCount)
  }

  private static func reserveLogits(_ layout: inout ScratchLayout, _ config: ModelConfig) {
    layout.logits = layout.reserve(layout.logitRows * config.vocabularySize)
  }

  /// Floats as long as a quantised row of `columns` activations, in whatever instruction set this
  /// machine has: one plan for all.
  private static func quantizedFloats(_ columns: Int) -> Int {
    let sets = InstructionSet.allCases.filter(\.isAvailable).map(KernelSet.init)
    return (sets.map { $0.quantizedByteCount(columns: columns) }.max() ?? 0) / 4
  }

  /// Bytes of all buffers.
  var byteCount: Int { floatCount * 4 }

  /// Takes `count` floats on cache lines of their own and returns where they start.
  private mutating func reserve(_ count: Int) -> Int {
    defer { floatCount += (count + 15) / 16 * 16 }
    return floatCount
  }
}
