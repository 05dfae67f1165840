internal import ExpertStore
internal import Kernels

/// Tells the prefetcher of a session, while a layer's experts are being read, what it has to know to
/// read ahead for the layer that follows.
final class ExpertForecast {
  private let prefetcher: Prefetcher
  private let layers: [LayerWeights]
  private let usedCount: Int

  /// The forecast of a session of `model`; nil when the model is to read nothing ahead.
  init?(model: Model) {
    let used = model.config.experts.usedCount
    guard
      let prefetcher = Prefetcher(store: model.store, choice: model.prefetch, usedCount: used)
    else { return nil }
    self.prefetcher = prefetcher
    layers = model.weights.layers
    usedCount = used
  }

  /// Begins a chunk of so many tokens.
  func beginChunk(tokens: Int) { prefetcher.beginChunk(tokens: tokens) }

  /// Ends the chunk.
  func endChunk() { prefetcher.endChunk() }

  /// Called when `layer` has routed and its reads are queued, by the thread that runs the layer and
  /// while no other computes for it.
  func announce(after layer: Int, _ run: Evaluation, routing: Routing) {
    for token in 0..<run.tokens {
      prefetcher.learn(
        routing.chosen[token * usedCount..<(token + 1) * usedCount], layer: layer)
    }
    guard prefetcher.isArmed else { return }
    let next = (layer + 1) % layers.count
    // Nobody asks for the last layer's experts of a token whose logits are not wanted.
    guard next < layers.count - 1 || run.outputTokens > 0 else { return }
    guard prefetcher.needsScores else { return prefetcher.prefetch(layer: next) }
    // Nothing is known of the next token's state yet.
    guard next > 0 else { return }
    let scratch = run.scratch
    // Armed for single tokens alone, so that buffers for one are enough. The state is not quantised: a
    // guess is worth no bits of anything, and few models have a router that takes them.
    precondition(run.tokens == 1)
    run.normalize(scratch.residual, weight: layers[next].expertNorm, into: scratch.forecastState)
    let state = Activations(scratch.forecastState, stride: run.config.hiddenSize)
    run.multiply(layers[next].experts.router, state, into: scratch.forecastScores)
    prefetcher.prefetch(
      layer: next,
      scores: UnsafeBufferPointer(start: scratch.forecastScores, count: run.config.experts.count))
  }
}
