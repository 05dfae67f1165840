internal import ExpertStore
internal import Kernels

/// A sequence of tokens on its way through a model: KV cache, recurrent state and position.
///
/// One thread at a time. Bits of the results depend on the tokens and the instruction set alone: not on
/// how the tokens are divided into calls or chunks, on threads, on the size of the cache or on timing.
public final class Session {
  /// Told what every block computes, for inspection. `name` is that of the reference's graph, with
  /// the layer (`attn_norm-3`) and a `+` for a second tensor of that name; `values` are float32,
  /// row-major, first axis tokens, and valid during the call alone. Behind the last layer's mixer the
  /// tokens are the last ones, those whose logits are wanted; nothing is shown where there are none.
  public typealias Observer = (
    _ name: String, _ layer: Int?, _ values: UnsafeBufferPointer<Float>, _ shape: [Int]
  ) -> Void

  /// Positions whose logits are wanted.
  public enum LogitsRequest: Sendable {
    /// Only the last one's.
    case last
    /// Every one's, in order.
    case all
    /// Of no position.
    case none
  }

  /// The model that runs.
  public let model: Model
  /// Positions that the session has room for.
  public let contextLength: Int
  /// Tokens evaluated so far.
  public private(set) var position = 0
  /// Shown every block's result; slows evaluation down.
  public var observer: Observer?
  /// Asked before every layer; once true the evaluation ends with a `.cancelled` error. Nil for never.
  public var isCancelled: (() -> Bool)?

  private let lease: SessionLease
  private let cache: KVCache
  private let state: RecurrentState
  private let scratch: Scratch
  private let routing: Routing
  private let feed: SliceFeed
  private let mixers: [any TokenMixer]
  private let experts: [ExpertBlock]
  private let forecast: ExpertForecast?
  /// Whether an evaluation broke off between layers, so that they disagree on the sequence.
  private var isIncomplete = false

  /// Starts an empty sequence.
  /// - Parameters:
  ///   - model: The model that runs.
  ///   - contextLength: Positions to make room for; nil for what the memory plan has.
  /// - Throws: ``ModelGraphError`` when the plan has no room for it, or for another session.
  public init(model: Model, contextLength: Int? = nil) throws {
    let planned = model.plan.contextLength
    let length = contextLength ?? planned
    guard (1...planned).contains(length) else {
      throw ModelGraphError(
        .contextFull,
        "a context of \(length) tokens: the memory plan has room for \(planned), the model was "
          + "made for \(model.config.contextLength)")
    }
    lease = try model.beginSession()
    cache = try KVCache(
      config: model.config, contextLength: length, type: model.plan.keyValueType)
    state = try RecurrentState(config: model.config)
    scratch = try Scratch(
      layout: ScratchLayout(
        config: model.config, batch: model.batch, threads: model.threadCount))
    routing = Routing(config: model.config, batch: model.batch)
    feed = SliceFeed(model.store)
    var mixers: [any TokenMixer] = []
    var (attentionLayers, deltaNetLayers) = (0, 0)
    for (layer, weights) in model.weights.layers.enumerated() {
      switch weights.mixer {
      case .fullAttention(let weights):
        mixers.append(
          FullAttention(
            weights: weights, layer: layer, cacheLayer: attentionLayers, scratch: scratch))
        attentionLayers += 1
      case .gatedDeltaNet(let weights):
        mixers.append(
          GatedDeltaNet(
            weights: weights, layer: layer, stateLayer: deltaNetLayers,
            shape: model.config.deltaNet, scratch: scratch))
        deltaNetLayers += 1
      }
    }
    self.mixers = mixers
    experts = model.weights.layers.enumerated().map {
      ExpertBlock(
        weights: $1.experts, layer: $0, sliceCount: model.weights.sliceCounts[$0])
    }
    forecast = ExpertForecast(model: model)
    self.model = model
    self.contextLength = length
  }

  /// Has the kernel give the session its memory now: what is measured then waits for no first touch.
  public func populate() {
    scratch.populate()
    cache.populate()
  }

  /// Forgets the sequence.
  public func reset() {
    position = 0
    isIncomplete = false
    state.reset()
  }

  /// Appends `tokens` to the sequence and gives the logits of the next token.
  ///
  /// Tokens go through the layers in chunks of the model's batch. What follows the last layer's mixer is
  /// computed for the tokens whose logits are wanted alone: nothing else depends on it.
  /// - Parameters:
  ///   - tokens: Ids of the vocabulary; none does nothing.
  ///   - logits: Positions whose logits are computed.
  ///   - receive: Given the index in `tokens` and the logits after it, `[vocabulary]`, valid during
  ///     the call alone. What it throws ends the evaluation after the chunk at hand.
  /// - Throws: ``ModelGraphError`` for an id out of range or a full context, with nothing evaluated;
  ///   `ExpertStoreError` when an expert cannot be read. After an error within a chunk the session
  ///   takes no more tokens until ``reset()``. Logits that are no numbers are an error before they
  ///   are handed out.
  public func evaluate(
    _ tokens: [Int32], logits: LogitsRequest = .last,
    receive: (_ index: Int, _ logits: UnsafeBufferPointer<Float>) throws -> Void
  ) throws {
    try check(tokens)
    var done = 0
    while done < tokens.count {
      let count = min(model.batch, tokens.count - done)
      let isLast = done + count == tokens.count
      let wanted =
        switch logits {
        case .all: count
        case .last: isLast ? 1 : 0
        case .none: 0
        }
      var run = Evaluation(
        config: model.config, kernels: model.kernels, pool: model.pool, scratch: scratch,
        observer: observer, tokens: count, outputTokens: wanted,
        precision: model.precision, position: position, forecast: forecast)
      isIncomplete = true
      forecast?.beginChunk(tokens: count)
      ExpertBlock.readAhead(layer: 0, run, store: model.store)
      do {
        run = try evaluate(tokens[done..<done + count], run)
      } catch {
        model.store.endReadAhead()
        throw error
      }
      forecast?.endChunk()
      isIncomplete = false
      position += count
      done += count
      if wanted > 0 {
        try project(
          run.tokens - wanted..<run.tokens, offset: done - run.tokens, run, receive: receive)
      }
    }
  }

  /// Appends `tokens` and returns the logits after the last of them, `[vocabulary]`; empty when
  /// there are no tokens. Allocates the result.
  public func evaluate(_ tokens: [Int32]) throws -> [Float] {
    var result: [Float] = []
    try evaluate(tokens, logits: .last) { _, logits in result = Array(logits) }
    return result
  }

  private func check(_ tokens: [Int32]) throws {
    guard !isIncomplete else {
      throw ModelGraphError(
        .incompleteState,
        "an evaluation broke off at position \(position), between two layers; reset the session")
    }
    guard tokens.count <= contextLength - position else {
      throw ModelGraphError(
        .contextFull,
        "\(tokens.count) tokens at position \(position): the context holds \(contextLength); "
          + "shorten the text or give a longer context (the model was made for "
          + "\(model.config.contextLength))")
    }
    let vocabulary = Int32(model.config.vocabularySize)
    if let index = tokens.firstIndex(where: { $0 < 0 || $0 >= vocabulary }) {
      throw ModelGraphError(
        .invalidToken,
        "token \(index): expected an id from 0 to \(vocabulary - 1), found \(tokens[index])")
    }
  }

  /// Takes one chunk through all layers. The result is `scratch.residual`, with a row for each token of
  /// the evaluation that is returned.
  private func evaluate(_ tokens: ArraySlice<Int32>, _ run: Evaluation) throws -> Evaluation {
    var run = run
    let hidden = model.config.hiddenSize
    for (row, token) in tokens.enumerated() {
      model.kernels.dequantize(
        model.weights.embedding, row: Int(token), into: scratch.residual + row * hidden)
    }
    run.observe("model.input_embed", layer: nil, scratch.residual, [run.tokens, hidden])
    model.angles.write(position: run.position, tokens: run.tokens, to: scratch)
    for (layer, weights) in model.weights.layers.enumerated() {
      if let isCancelled, isCancelled() {
        throw ModelGraphError(
          .cancelled, "cancelled at position \(position), before layer \(layer)")
      }
      run.normalize(scratch.residual, weight: weights.mixerNorm, into: scratch.normed)
      run.observe("attn_norm", layer: layer, scratch.normed, [run.tokens, hidden])
      mixers[layer].mix(run, cache: cache, state: state)
      run.add(scratch.mixed, to: scratch.residual)
      run.observe("attn_residual", layer: layer, scratch.residual, [run.tokens, hidden])
      if layer == model.config.layerCount - 1, run.outputTokens < run.tokens {
        run = run.narrowed()
        if run.tokens == 0 { break }
      }
      run.normalize(scratch.residual, weight: weights.expertNorm, into: scratch.normed)
      run.observe("attn_post_norm", layer: layer, scratch.normed, [run.tokens, hidden])
      try experts[layer].forward(run, routing: routing, feed: feed, store: model.store)
      run.add(scratch.routed, to: scratch.residual)
      run.observe("l_out", layer: layer, scratch.residual, [run.tokens, hidden])
    }
    return run
  }

  /// Computes and hands out the logits of `rows` of the chunk.
  private func project(
    _ rows: Range<Int>, offset: Int, _ run: Evaluation,
    receive: (_ index: Int, _ logits: UnsafeBufferPointer<Float>) throws -> Void
  ) throws {
    let (hidden, vocabulary) = (model.config.hiddenSize, model.config.vocabularySize)
    run.normalize(scratch.residual, weight: model.weights.finalNorm, into: scratch.normed)
    run.observe("result_norm", layer: nil, scratch.normed, [run.tokens, hidden])
    for start in stride(from: rows.lowerBound, to: rows.upperBound, by: scratch.layout.logitRows) {
      let part = start..<min(rows.upperBound, start + scratch.layout.logitRows)
      let input = run.input(scratch.normed + start * hidden, columns: hidden, tokens: part.count)
      model.kernels.multiply(
        model.weights.output, input, tokens: part.count, into: scratch.logits,
        outStride: vocabulary, pool: model.pool)
      for row in part {
        let logits = UnsafeBufferPointer(
          start: scratch.logits + (row - start) * vocabulary, count: vocabulary)
        guard Self.areNumbers(logits) else {
          throw ModelGraphError(
            .notANumber,
            "the token at position \(run.position + row) gives logits that are no numbers; the "
              + "weights are not those of a working model, run moepack verify")
        }
        try receive(offset + row, logits)
      }
    }
  }

  /// Whether all of `values` are finite.
  private static func areNumbers(_ values: UnsafeBufferPointer<Float>) -> Bool {
    // 0 times what is infinite or not a number is not a number.
    var sum = SIMD16<Float>(repeating: 0)
    let whole = values.count / 16 * 16
    for start in stride(from: 0, to: whole, by: 16) {
      var part = SIMD16<Float>(repeating: 0)
      for lane in 0..<16 { part[lane] = values[start + lane] }
      sum += part * 0
    }
    for index in whole..<values.count { sum[0] += values[index] * 0 }
    return sum == SIMD16(repeating: 0)
  }
}
