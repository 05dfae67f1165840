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
/// Each routed expert computes all of its tokens in the chunk at once, slice by slice as the slices
/// arrive. Its outputs are kept apart until all are there and then summed in the order of the
/// router's ranks: which expert was read first, and on how many threads, changes no bit.
struct ExpertBlock {
  let weights: ExpertBlockWeights
  /// Decoder layer.
  let layer: Int

  /// Computes the block of `scratch.normed` into `scratch.routed`.
  func forward(_ run: Evaluation, routing: Routing, store: ExpertStore) throws {
    let scratch = run.scratch
    let (hidden, experts) = (run.config.hiddenSize, run.config.experts)
    try route(run, routing: routing)
    var isSharedDone = false
    try store.withExperts(layer: layer, experts: routing.experts) { index, expert in
      // The shared expert is always there: it is computed while the first reads are under way.
      if !isSharedDone {
        computeShared(run)
        isSharedDone = true
      }
      let pairs = Int(routing.starts[index])..<Int(routing.starts[index + 1])
      try compute(expert, pairs: pairs, run: run, routing: routing)
    }
    combine(run, routing: routing)
    run.observe("ffn_moe_out", layer: layer, scratch.routed, [run.tokens, hidden])
    run.observe("ffn_shexp_gated", layer: layer, scratch.shared, [run.tokens, hidden])
    run.kernels.add(scratch.routed, scratch.shared, count: run.tokens * hidden)
    run.observe("ffn_out", layer: layer, scratch.routed, [run.tokens, hidden])
    precondition(isSharedDone || experts.usedCount == 0)
  }

  private func route(_ run: Evaluation, routing: Routing) throws {
    let scratch = run.scratch
    let experts = run.config.experts
    let input = run.input(scratch.normed, columns: run.config.hiddenSize)
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

  private func computeShared(_ run: Evaluation) {
    let (scratch, kernels) = (run.scratch, run.kernels)
    let (hidden, size) = (run.config.hiddenSize, run.config.experts.sharedIntermediateSize)
    let input = run.input(scratch.normed, columns: hidden)
    run.multiply(weights.sharedGate, input, into: scratch.sharedGate)
    run.multiply(weights.sharedUp, input, into: scratch.sharedUp)
    activate(run, gate: scratch.sharedGate, up: scratch.sharedUp, rows: run.tokens, size: size)
    let inner = run.inner(scratch.sharedGate, columns: size)
    run.multiply(weights.sharedDown, inner, into: scratch.partial)
    run.multiply(weights.sharedRouter, input, into: scratch.sharedWeight)
    memset(scratch.shared, 0, run.tokens * hidden * 4)
    for token in 0..<run.tokens {
      let share = 1 / (1 + exp(-Double(scratch.sharedWeight[token])))
      kernels.addScaled(
        scratch.shared + token * hidden, Float(share), scratch.partial + token * hidden,
        count: hidden)
    }
  }

  /// `gate = silu(gate) * up` for `rows` rows. A row is never divided, so that its bits cannot depend
  /// on where a thread's share begins.
  private func activate(
    _ run: Evaluation, gate: UnsafeMutablePointer<Float>, up: UnsafePointer<Float>, rows: Int,
    size: Int
  ) {
    run.pool.forEach(rows, grain: max(1, 8192 / size)) { range in
      for row in range {
        run.kernels.siluMultiply(
          gate + row * size, up + row * size, into: gate + row * size, count: size)
      }
    }
  }

  /// The outputs of one expert for its tokens, in `scratch.pairs`.
  private func compute(
    _ expert: LoadedExpert, pairs: Range<Int>, run: Evaluation, routing: Routing
  ) throws {
    let scratch = run.scratch
    let hidden = run.config.hiddenSize
    var input = UnsafePointer(scratch.normed)
    if run.tokens > 1 {
      for (row, pair) in pairs.enumerated() {
        let token = Int(routing.tokens[pair])
        memcpy(scratch.gathered + row * hidden, scratch.normed + token * hidden, hidden * 4)
      }
      input = UnsafePointer(scratch.gathered)
    }
    let output = scratch.pairs + pairs.lowerBound * hidden
    if let slices = expert.completeSlices {
      computeSlices(slices, first: 0, input: input, tokens: pairs.count, into: output, run)
    } else {
      for index in 0..<expert.sliceCount {
        let slice = try expert.slice(index)
        computeSlices(
          CollectionOfOne(slice), first: index, input: input, tokens: pairs.count, into: output,
          run)
      }
    }
  }

  /// Adds what `slices` contribute to `out`, in their order; slice 0 of an expert sets it.
  ///
  /// `first` is the index in the expert of the first of `slices`; `input` and `out` are
  /// `[tokens, hidden]`.
  private func computeSlices(
    _ slices: some RandomAccessCollection<ExpertSlice>, first: Int, input: UnsafePointer<Float>,
    tokens: Int, into out: UnsafeMutablePointer<Float>, _ run: Evaluation
  ) {
    let (scratch, kernels, hidden) = (run.scratch, run.kernels, run.config.hiddenSize)
    guard let rows = slices.first?.up.rows else { return }
    let block = tokens * rows
    func slice(_ index: Int) -> ExpertSlice {
      slices[slices.index(slices.startIndex, offsetBy: index)]
    }
    // A chunk of 64 Ki multiply-adds takes about ten times as long as handing it out.
    let grain = max(4, (32 << 10) / max(1, hidden * tokens))
    run.pool.forEach(slices.count * rows, grain: grain) { range in
      var row = range.lowerBound
      while row < range.upperBound {
        let index = row / rows
        let part = row % rows..<min(rows, row % rows + range.upperBound - row)
        let slice = slice(index)
        let offset = index * block + part.lowerBound
        if let gate = slice.gate {
          kernels.multiply(
            gate.rows(part), Activations(input, stride: hidden), tokens: tokens,
            into: scratch.expertGate + offset, outStride: rows)
        }
        kernels.multiply(
          slice.up.rows(part), Activations(input, stride: hidden), tokens: tokens,
          into: scratch.expertUp + offset, outStride: rows)
        row += part.count
      }
    }
    activate(
      run, gate: scratch.expertGate, up: scratch.expertUp, rows: slices.count * tokens, size: rows)
    let downGrain = max(4, (64 << 10) / max(1, rows * slices.count * tokens))
    run.pool.forEach(hidden, grain: downGrain) { range in
      for index in 0..<slices.count {
        let isFirst = first + index == 0
        let target = (isFirst ? out : scratch.partial) + range.lowerBound
        kernels.multiply(
          slice(index).down.rows(range),
          Activations(scratch.expertGate + index * block, stride: rows), tokens: tokens,
          into: target, outStride: hidden)
        guard !isFirst else { continue }
        for token in 0..<tokens {
          kernels.add(
            out + token * hidden + range.lowerBound, target + token * hidden, count: range.count)
        }
      }
    }
  }

  /// Sums the outputs of every token's experts by rank, into `scratch.routed`.
  private func combine(_ run: Evaluation, routing: Routing) {
    let (scratch, kernels, hidden) = (run.scratch, run.kernels, run.config.hiddenSize)
    let used = run.config.experts.usedCount
    memset(scratch.routed, 0, run.tokens * hidden * 4)
    run.pool.forEach(run.tokens, grain: 4) { range in
      for token in range {
        for rank in token * used..<(token + 1) * used {
          kernels.addScaled(
            scratch.routed + token * hidden, scratch.weights[rank],
            scratch.pairs + Int(routing.pairs[rank]) * hidden, count: hidden)
        }
      }
    }
  }
}
