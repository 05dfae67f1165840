internal import Kernels
internal import Tensors
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Linear attention by the gated delta rule (https://arxiv.org/abs/2412.06464, HF
/// `Qwen3NextGatedDeltaNet`).
///
/// Value head j reads key head j modulo the number of key heads: GGUF stores value heads in tiled
/// order, where the original checkpoint repeats each key head.
struct GatedDeltaNet: TokenMixer {
  let weights: DeltaNetWeights
  /// Decoder layer, for the observer.
  let layer: Int
  /// Index among the layers with a gated delta net.
  let stateLayer: Int
  /// The products of the input, into the scratch of the session.
  private let projections: [Projection]

  init(
    weights: DeltaNetWeights, layer: Int, stateLayer: Int, shape: ModelConfig.DeltaNet,
    scratch: Scratch
  ) {
    self.weights = weights
    self.layer = layer
    self.stateLayer = stateLayer
    projections = [
      Projection(weights.queryKeyValue, into: scratch.window + shape.historySize),
      Projection(weights.gate, into: scratch.gate),
      Projection(weights.beta, into: scratch.beta),
      Projection(weights.alpha, into: scratch.alpha),
    ]
  }

  /// Channels of one convolution work item. Fixed, so that no result depends on the threads.
  private static let channelBlock = 2048

  /// Mixes `scratch.normed` into `scratch.mixed`, and moves `state` past the chunk.
  func mix(_ run: Evaluation, cache: KVCache, state: RecurrentState) {
    let scratch = run.scratch
    let shape = run.config.deltaNet
    let (channels, heads, size) = (shape.channelCount, shape.valueHeadCount, shape.headSize)
    let tokens = run.tokens
    let inputs = scratch.window + shape.historySize
    let input = run.input(scratch.normed, columns: run.config.hiddenSize)
    run.multiply(projections, input)
    run.observe("linear_attn_qkv_mixed", layer: layer, inputs, [tokens, channels])
    run.observe("z", layer: layer, scratch.gate, [tokens, shape.valueSize])
    computeGates(run)
    run.observe("beta_sigmoid", layer: layer, scratch.beta, [tokens, heads, 1])
    run.observe("gate", layer: layer, scratch.alpha, [tokens, heads])
    convolve(run, history: state.history(layer: stateLayer))
    run.observe("conv_output_silu", layer: layer, scratch.convolved, [tokens, channels])
    normalizeKeys(run)
    observeKeys(run)
    recur(run, state: state)
    run.observe("attn_output", layer: layer, scratch.recalled, [tokens, heads, size])
    observeState(run, state: state)
    run.observe("final_output", layer: layer, scratch.gated, [tokens, shape.valueSize])
    let gated = run.inner(scratch.gated, columns: shape.valueSize)
    run.multiply(weights.output, gated, into: scratch.mixed)
    run.observe("linear_attn_out", layer: layer, scratch.mixed, [tokens, run.config.hiddenSize])
  }

  /// `beta = sigmoid(beta)`, `alpha = softplus(alpha + bias) * decay`, in double precision: they are
  /// few, and the decay compounds over the sequence.
  private func computeGates(_ run: Evaluation) {
    let heads = run.config.deltaNet.valueHeadCount
    for token in 0..<run.tokens {
      for head in 0..<heads {
        let index = token * heads + head
        run.scratch.beta[index] = Float(1 / (1 + exp(-Double(run.scratch.beta[index]))))
        let x = Double(run.scratch.alpha[index]) + Double(weights.timeStepBias[head])
        let softplus = max(x, 0) + log1p(exp(-abs(x)))
        run.scratch.alpha[index] = Float(softplus * Double(weights.decay[head]))
      }
    }
  }

  /// Causal depth-wise convolution over time and SiLU; carries the last inputs over.
  private func convolve(_ run: Evaluation, history: UnsafeMutablePointer<Float>) {
    let shape = run.config.deltaNet
    let (channels, width) = (shape.channelCount, shape.convolutionWidth)
    let (scratch, kernels) = (run.scratch, run.kernels)
    memcpy(scratch.window, history, shape.historySize * 4)
    let blocks = (channels + Self.channelBlock - 1) / Self.channelBlock
    run.pool.forEach(run.tokens * blocks, grain: 4) { range in
      withUnsafeTemporaryAllocation(of: UnsafePointer<Float>.self, capacity: width) { taps in
        guard let table = taps.baseAddress else { return }
        for item in range {
          let token = item / blocks
          let first = item % blocks * Self.channelBlock
          for tap in 0..<width {
            taps.initializeElement(
              at: tap, to: UnsafePointer(scratch.window + (token + tap) * channels + first))
          }
          kernels.convolveSilu(
            taps: weights.convolution + first * width, history: table, width: width,
            into: scratch.convolved + token * channels + first,
            channels: min(Self.channelBlock, channels - first))
        }
      }
    }
    memcpy(history, scratch.window + run.tokens * channels, shape.historySize * 4)
  }

  /// L2-normalises every query and key head in place.
  private func normalizeKeys(_ run: Evaluation) {
    let shape = run.config.deltaNet
    let (scratch, kernels, epsilon) = (run.scratch, run.kernels, run.config.rmsEpsilon)
    let headsPerToken = 2 * shape.keyHeadCount
    run.pool.forEach(run.tokens * headsPerToken, grain: 64) { range in
      for item in range {
        let head =
          scratch.convolved + item / headsPerToken * shape.channelCount
          + item % headsPerToken * shape.headSize
        kernels.l2Normalize(head, epsilon: epsilon, into: head, count: shape.headSize)
      }
    }
  }

  /// The delta rule, token by token in every value head, then the gated norm.
  private func recur(_ run: Evaluation, state: RecurrentState) {
    let shape = run.config.deltaNet
    let (scratch, kernels, size) = (run.scratch, run.kernels, shape.headSize)
    let heads = shape.valueHeadCount
    run.pool.forEach(heads, grain: 1) { range in
      for head in range {
        let query = scratch.convolved + head % shape.keyHeadCount * size
        kernels.deltaSteps(
          state: state.head(head, layer: stateLayer),
          DeltaTokens(
            count: run.tokens, q: query, k: query + shape.keySize,
            v: scratch.convolved + 2 * shape.keySize + head * size, stride: shape.channelCount,
            gate: scratch.alpha + head, beta: scratch.beta + head, gateStride: heads,
            out: scratch.recalled + head * size, outStride: heads * size), dimension: size)
        for token in 0..<run.tokens {
          let out = (token * heads + head) * size
          kernels.rmsNorm(
            scratch.recalled + out, weight: weights.norm, epsilon: run.config.rmsEpsilon,
            into: scratch.gated + out, count: size)
          kernels.siluMultiply(
            scratch.gate + out, scratch.gated + out, into: scratch.gated + out, count: size)
        }
      }
    }
  }

  private func observeKeys(_ run: Evaluation) {
    guard run.observer != nil else { return }
    let shape = run.config.deltaNet
    for (part, name) in ["q_conv_predelta", "k_conv_predelta"].enumerated() {
      var heads = [Float](repeating: 0, count: run.tokens * shape.keySize)
      for token in 0..<run.tokens {
        for index in 0..<shape.keySize {
          heads[token * shape.keySize + index] =
            run.scratch.convolved[token * shape.channelCount + part * shape.keySize + index]
        }
      }
      heads.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        run.observe(name, layer: layer, base, [run.tokens, shape.keyHeadCount, shape.headSize])
      }
    }
  }

  /// Shows the state as `[value head, value index, key index]`, the order of the reference.
  private func observeState(_ run: Evaluation, state: RecurrentState) {
    guard run.observer != nil else { return }
    let shape = run.config.deltaNet
    let size = shape.headSize
    var transposed = [Float](repeating: 0, count: shape.stateSize)
    var associations = [Float](repeating: 0, count: size * size)
    for head in 0..<shape.valueHeadCount {
      KernelSet.deltaAssociations(
        state: state.head(head, layer: stateLayer), dimension: size, into: &associations)
      for key in 0..<size {
        for value in 0..<size {
          transposed[(head * size + value) * size + key] = associations[key * size + value]
        }
      }
    }
    transposed.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      run.observe("new_state", layer: layer, base, [shape.valueHeadCount, size, size])
    }
  }
}
