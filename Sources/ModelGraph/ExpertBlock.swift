internal import ExpertStore
internal import Kernels
internal import Tensors
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The mixture of experts of a decoder layer: router, routed experts and the shared one.
///
/// A few tokens are computed slice by slice, in the order in which slices are read
/// (`ExpertBlock+Slices.swift`), a chunk of a prompt expert by expert (`ExpertBlock+Chunk.swift`). For
/// a token both are the same sum: an expert's slices in their order, then its share of that added to
/// the experts before it, by ascending id. Which slice was read first, on which thread it was computed
/// and what other tokens there were changes no bit.
struct ExpertBlock {
  let weights: ExpertBlockWeights
  /// Decoder layer.
  let layer: Int
  /// Compute slices of the layer's routed experts.
  let sliceCount: Int
  /// The shared expert, cut up.
  let shared: [ExpertMatrices]

  init(weights: ExpertBlockWeights, layer: Int, sliceCount: Int) {
    precondition((1...ExpertMatrices.largestSliceCount).contains(sliceCount))
    self.weights = weights
    self.layer = layer
    self.sliceCount = sliceCount
    shared = ExpertMatrices.shared(weights)
  }

  /// Computes the block of `scratch.normed` into `scratch.routed`.
  func forward(_ run: Evaluation, routing: Routing, feed: SliceFeed, store: ExpertStore) throws {
    let (scratch, hidden) = (run.scratch, run.config.hiddenSize)
    let input = run.input(scratch.normed, columns: hidden)
    try route(run, input, routing: routing)
    if run.tokens <= scratch.layout.sliceTokens {
      try computeSlices(run, input, routing: routing, feed: feed)
    } else {
      try computeChunk(run, input, routing: routing, store: store)
      Self.readAhead(layer: layer + 1, run, store: store)
    }
    run.observe("ffn_moe_out", layer: layer, scratch.routed, [run.tokens, hidden])
    run.observe("ffn_shexp_gated", layer: layer, scratch.shared, [run.tokens, hidden])
    run.add(scratch.shared, to: scratch.routed)
    run.observe("ffn_out", layer: layer, scratch.routed, [run.tokens, hidden])
  }

  private func route(_ run: Evaluation, _ input: Activations, routing: Routing) throws {
    let scratch = run.scratch
    let experts = run.config.experts
    run.multiply(weights.router, input, into: scratch.router)
    run.observe("ffn_moe_logits", layer: layer, scratch.router, [run.tokens, experts.count])
    for token in 0..<run.tokens {
      let probabilities = scratch.router + token * experts.count
      run.kernels.softmax(probabilities, count: experts.count)
      let isNumber = routing.choose(
        token: token, probabilities: probabilities,
        weights: scratch.weights + token * experts.usedCount)
      guard isNumber else {
        throw ModelGraphError(
          .notANumber,
          "layer \(layer): the router of the token at position \(run.position + token) gives no "
            + "number; the weights are not those of a working model, run moepack verify")
      }
    }
    routing.group(tokenCount: run.tokens)
    run.observe(
      "ffn_moe_weights_norm", layer: layer, scratch.weights, [run.tokens, experts.usedCount])
    guard run.observer != nil else { return }
    let ids = routing.chosen.prefix(run.tokens * experts.usedCount).map(Float.init)
    ids.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      run.observe("ffn_moe_topk", layer: layer, base, [run.tokens, experts.usedCount])
    }
  }

  /// How much of the shared expert every token takes, into `scratch.sharedWeight`.
  func computeSharedWeights(_ run: Evaluation, _ input: Activations) {
    let shares = run.scratch.sharedWeight
    run.multiply(weights.sharedRouter, input, into: shares)
    for token in 0..<run.tokens { shares[token] = Float(1 / (1 + exp(-Double(shares[token])))) }
  }

  /// The rows of `input` that pairs `rows` have: by a list where `matrices` take quantised activations,
  /// copied one after the other into `copy`, `[rows, hidden]`, where they take floats.
  func gather(
    _ rows: Range<Int>, of tokens: UnsafeBufferPointer<Int32>, _ input: Activations,
    for matrices: ExpertMatrices, into copy: UnsafeMutablePointer<Float>, _ run: Evaluation
  ) -> Activations {
    let hidden = run.config.hiddenSize
    let list = UnsafeBufferPointer(rebasing: tokens[rows])
    var own = Activations(
      input.values + Int(list[0]) * hidden, stride: hidden, quantized: input.quantized,
      rows: list.baseAddress, precision: input.precision)
    let areQuantized =
      run.kernels.takesQuantized(matrices.gate.type, columns: hidden)
      && run.kernels.takesQuantized(matrices.up.type, columns: hidden)
    guard !areQuantized, list.count > 1 else { return own }
    run.pool.forEach(list.count, grain: 16) { range in
      for row in range {
        memcpy(copy + row * hidden, input.values + Int(list[row]) * hidden, hidden * 4)
      }
    }
    own.values = UnsafePointer(copy)
    return own
  }

  /// Columns that a thread sums at once: whole cache lines.
  static let columnBlock = 64

  /// Calls `body` on the pool's threads for ranges of columns that together are `0..<hidden`.
  /// `cost` is the number of multiply-adds a column takes.
  func forEachColumns(_ run: Evaluation, cost: Int, _ body: (Range<Int>) -> Void) {
    let hidden = run.config.hiddenSize
    let blocks = (hidden + Self.columnBlock - 1) / Self.columnBlock
    // A share of 64 Ki multiply-adds takes about ten times as long as handing it out.
    run.pool.forEach(blocks, grain: max(1, (64 << 10) / max(1, cost * Self.columnBlock))) { range in
      body(range.lowerBound * Self.columnBlock..<min(hidden, range.upperBound * Self.columnBlock))
    }
  }
}
