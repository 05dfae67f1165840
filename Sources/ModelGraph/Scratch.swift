internal import FileIO

/// The buffers of one session, made once. Each states its shape with B for the tokens of a chunk and P
/// for the pairs of a token with an expert, the shared one included, of a few tokens.
///
/// Buffers of different blocks share memory as ``ScratchLayout`` says.
final class Scratch {
  typealias Buffer = UnsafeMutablePointer<Float>

  let layout: ScratchLayout
  private let memory: AlignedBuffer

  let residual: Buffer  // [B, hidden]: the stream that every block adds to
  let normed: Buffer  // [B, hidden]: input of the block at work
  let mixed: Buffer  // [B, hidden]: output of the mixer; the memory of routed
  let forecastState: Buffer  // [hidden]: a token's state as the next layer's router would have it
  let forecastScores: Buffer  // [experts]: what that router says of it
  let cosines: Buffer  // [B, rotated / 2]
  let sines: Buffer  // [B, rotated / 2]
  let queryAndGate: Buffer  // [B, heads, 2, head size]
  let query: Buffer  // [B, heads, head size]
  let key: Buffer  // [B, kv heads, head size]
  let value: Buffer  // [B, kv heads, head size]
  let attended: Buffer  // [B, heads, head size]
  let attention: Buffer  // [workers, scratch of an item]
  let window: Buffer  // [width - 1 + B, channels]: inputs of the convolution
  let convolved: Buffer  // [B, channels]
  let gate: Buffer  // [B, value heads, head size]: z
  let alpha: Buffer  // [B, value heads]: logarithm of the decay
  let beta: Buffer  // [B, value heads]
  let recalled: Buffer  // [B, value heads, head size]: what the state gives for the query
  let gated: Buffer  // [B, value heads, head size]
  let router: Buffer  // [B, experts]
  let weights: Buffer  // [B, top-k]
  let shared: Buffer  // [B, hidden]: output of the shared expert
  let sharedWeight: Buffer  // [B]: share of it that a token takes
  let gathered: Buffer  // [tokens of an expert, hidden]
  let expertGate: Buffer  // [slices, tokens of an expert, intermediate / slices]
  let expertUp: Buffer  // like expertGate
  let expertOutput: Buffer  // blocks of columns of [tokens of an expert, hidden]
  let partial: Buffer  // as expertOutput: output of one slice
  let sliceGate: Buffer  // [P, intermediate], of an expert [slices, its tokens, rows of a slice]
  let sliceUp: Buffer  // like sliceGate
  let sliceOutput: Buffer  // [slices, P, hidden]
  let routed: Buffer  // [B, hidden]: output of the experts
  let logits: Buffer  // [logitRows, vocabulary]
  let quantized: UnsafeMutableRawPointer  // [B, hidden]: input of the block at work, quantised
  let quantizedInner: UnsafeMutableRawPointer  // [B, any]: quantised within a block

  init(layout: ScratchLayout) throws {
    self.layout = layout
    memory = try AlignedBuffer(count: layout.byteCount)
    guard let base = memory.bytes.baseAddress?.assumingMemoryBound(to: Float.self) else {
      preconditionFailure("a buffer always has an address")
    }
    residual = base + layout.residual
    normed = base + layout.normed
    mixed = base + layout.blockOutput
    forecastState = base + layout.forecastState
    forecastScores = base + layout.forecastScores
    cosines = base + layout.cosines
    sines = base + layout.sines
    queryAndGate = base + layout.queryAndGate
    query = base + layout.query
    key = base + layout.key
    value = base + layout.value
    attended = base + layout.attended
    attention = base + layout.attention
    window = base + layout.window
    convolved = base + layout.convolved
    gate = base + layout.gate
    alpha = base + layout.alpha
    beta = base + layout.beta
    recalled = base + layout.recalled
    gated = base + layout.gated
    router = base + layout.router
    weights = base + layout.weights
    shared = base + layout.shared
    sharedWeight = base + layout.sharedWeight
    gathered = base + layout.gathered
    expertGate = base + layout.expertGate
    expertUp = base + layout.expertUp
    expertOutput = base + layout.expertOutput
    partial = base + layout.partial
    sliceGate = base + layout.sliceGate
    sliceUp = base + layout.sliceUp
    sliceOutput = base + layout.sliceOutput
    routed = base + layout.blockOutput
    logits = base + layout.logits
    quantized = UnsafeMutableRawPointer(base + layout.quantized)
    quantizedInner = UnsafeMutableRawPointer(base + layout.quantizedInner)
  }

  /// Has the kernel give the buffers their pages now.
  func populate() { memory.populate(0..<memory.count) }
}
