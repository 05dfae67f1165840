internal import Kernels

/// Causal softmax attention with grouped queries, per-head RMSNorm, partial rotary embedding and a
/// sigmoid output gate (HF `Qwen3NextAttention`).
struct FullAttention: TokenMixer {
  let weights: AttentionWeights
  /// Decoder layer, for the observer.
  let layer: Int
  /// Index among the layers with softmax attention.
  let cacheLayer: Int
  /// The products of the input, into the scratch of the session.
  private let projections: [Projection]

  init(weights: AttentionWeights, layer: Int, cacheLayer: Int, scratch: Scratch) {
    self.weights = weights
    self.layer = layer
    self.cacheLayer = cacheLayer
    projections = [
      Projection(weights.queryAndGate, into: scratch.queryAndGate),
      Projection(weights.key, into: scratch.key),
      Projection(weights.value, into: scratch.value),
    ]
  }

  /// Mixes `scratch.normed` into `scratch.mixed`, and appends the chunk to `cache`.
  func mix(_ run: Evaluation, cache: KVCache, state: RecurrentState) {
    let scratch = run.scratch
    let input = run.input(scratch.normed, columns: run.config.hiddenSize)
    run.multiply(projections, input)
    let shape = run.config.attention
    let (heads, keyHeads, size) = (shape.headCount, shape.keyValueHeadCount, shape.headSize)
    run.observe("Kcur", layer: layer, scratch.key, [run.tokens, shape.keyValueSize])
    run.observe("Vcur", layer: layer, scratch.value, [run.tokens, shape.keyValueSize])
    run.observe("Vcur", layer: layer, scratch.value, [run.tokens, keyHeads, size], isSecond: true)
    normalizeHeads(run)
    run.observe("Qcur_normed", layer: layer, scratch.query, [run.tokens, heads, size])
    run.observe("Kcur_normed", layer: layer, scratch.key, [run.tokens, keyHeads, size])
    rotate(run)
    run.observe("Qcur", layer: layer, scratch.query, [run.tokens, heads, size])
    run.observe("Kcur", layer: layer, scratch.key, [run.tokens, keyHeads, size], isSecond: true)
    store(run, cache: cache)
    attend(run, cache: cache)
    run.observe("attn_pregate", layer: layer, scratch.attended, [run.tokens, shape.querySize])
    applyGate(run)
    run.observe("attn_gated", layer: layer, scratch.attended, [run.tokens, shape.querySize])
    let attended = run.inner(scratch.attended, columns: shape.querySize)
    run.multiply(weights.output, attended, into: scratch.mixed)
    run.observe("attn_output", layer: layer, scratch.mixed, [run.tokens, run.config.hiddenSize])
  }

  /// Normalises every query head, out of its place beside the gate, and every key head.
  private func normalizeHeads(_ run: Evaluation) {
    let shape = run.config.attention
    let (scratch, kernels, size) = (run.scratch, run.kernels, shape.headSize)
    let epsilon = run.config.rmsEpsilon
    run.pool.forEach(run.tokens * shape.headCount, grain: 64) { range in
      for head in range {
        kernels.rmsNorm(
          scratch.queryAndGate + head * 2 * size, weight: weights.queryNorm, epsilon: epsilon,
          into: scratch.query + head * size, count: size)
      }
    }
    run.pool.forEach(run.tokens * shape.keyValueHeadCount, grain: 64) { range in
      for head in range {
        let key = scratch.key + head * size
        kernels.rmsNorm(
          key, weight: weights.keyNorm, epsilon: epsilon, into: key, count: size)
      }
    }
  }

  private func rotate(_ run: Evaluation) {
    let shape = run.config.attention
    let (scratch, kernels) = (run.scratch, run.kernels)
    let half = shape.rotatedSize / 2
    func rotate(_ heads: UnsafeMutablePointer<Float>, perToken: Int) {
      run.pool.forEach(run.tokens * perToken, grain: 64) { range in
        for head in range {
          let token = head / perToken
          kernels.rotate(
            heads + head * shape.headSize, cosines: scratch.cosines + token * half,
            sines: scratch.sines + token * half, rotatedCount: shape.rotatedSize)
        }
      }
    }
    rotate(scratch.query, perToken: shape.headCount)
    rotate(scratch.key, perToken: shape.keyValueHeadCount)
  }

  private func store(_ run: Evaluation, cache: KVCache) {
    let shape = run.config.attention
    let (heads, size) = (shape.keyValueHeadCount, shape.headSize)
    let scratch = run.scratch
    run.pool.forEach(run.tokens * heads, grain: 32) { range in
      for row in range {
        cache.store(
          key: scratch.key + row * size, value: scratch.value + row * size, layer: cacheLayer,
          head: row % heads, position: run.position + row / heads)
      }
    }
  }

  /// Every work item is some query heads that share a key head, of some consecutive tokens. How heads and
  /// tokens are dealt out to items and items to threads changes no result: a head's sums depend on that
  /// head of that token alone.
  private func attend(_ run: Evaluation, cache: KVCache) {
    let shape = run.config.attention
    let layout = run.scratch.layout
    let heads = headsPerItem(run)
    let itemsPerToken = shape.headCount / heads
    let tokens = tokensPerItem(run, heads: heads)
    let items = (run.tokens + tokens - 1) / tokens * itemsPerToken
    let workers = min(layout.workers, items)
    run.pool.forEach(workers, grain: 1) { range in
      for worker in range {
        let memory = run.scratch.attention + worker * layout.attentionStride
        // Later tokens have more positions to look at, so items are dealt out in turn.
        for item in stride(from: worker, to: items, by: workers) {
          let token = item / itemsPerToken * tokens
          attend(
            run, cache: cache, tokens: token..<min(token + tokens, run.tokens),
            heads: (item % itemsPerToken) * heads..<(item % itemsPerToken + 1) * heads,
            scratch: memory)
        }
      }
    }
  }

  /// As many heads an item as leave two items a worker, within what a worker's scratch has room for.
  private func headsPerItem(_ run: Evaluation) -> Int {
    let shape = run.config.attention
    var count = min(ScratchLayout.queriesPerItem, shape.groupSize)
    while count > 1,
      !shape.groupSize.isMultiple(of: count)
        || run.tokens * shape.headCount / count < 2 * run.scratch.layout.workers
    {
      count -= 1
    }
    return count
  }

  /// As many tokens an item as leave eight items a worker, as their lengths differ; within the scratch.
  private func tokensPerItem(_ run: Evaluation, heads: Int) -> Int {
    let items = run.tokens * run.config.attention.headCount / heads
    return max(
      1, min(ScratchLayout.queriesPerItem / heads, items / (8 * run.scratch.layout.workers)))
  }

  private func attend(
    _ run: Evaluation, cache: KVCache, tokens: Range<Int>, heads: Range<Int>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let shape = run.config.attention
    let first = (tokens.lowerBound * shape.headCount + heads.lowerBound) * shape.headSize
    run.kernels.attend(
      cache.view(
        layer: cacheLayer, head: heads.lowerBound / shape.groupSize,
        positions: run.position + tokens.lowerBound + 1),
      queries: KernelSet.Queries(
        run.scratch.query + first, heads: heads.count, tokens: tokens.count,
        stride: shape.headCount * shape.headSize),
      scale: 1 / Float(shape.headSize).squareRoot(), into: run.scratch.attended + first,
      scratch: scratch)
  }

  private func applyGate(_ run: Evaluation) {
    let shape = run.config.attention
    let (scratch, kernels, size) = (run.scratch, run.kernels, shape.headSize)
    run.pool.forEach(run.tokens * shape.headCount, grain: 64) { range in
      for head in range {
        kernels.sigmoidMultiply(
          scratch.attended + head * size, scratch.queryAndGate + (head * 2 + 1) * size,
          count: size)
      }
    }
  }
}
