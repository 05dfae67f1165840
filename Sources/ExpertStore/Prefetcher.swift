internal import FileIO

/// Reads experts ahead for one sequence: what a ``PrefetchChoice`` does between a router and the
/// store.
///
/// For every chunk of tokens: ``beginChunk(tokens:)``, then layer by layer ``learn(_:layer:)`` and,
/// while the layer's own experts are being read, ``prefetch(layer:)`` for the layer that follows, at
/// last ``endChunk()``. Only single tokens are read ahead for: a chunk of a prompt uses most experts
/// of a layer anyway, and its own reads keep the disk busy. One thread at a time.
public final class Prefetcher {
  private let store: ExpertStore
  private let isControlled: Bool
  private let usedCount: Int
  private var predictor: any ExpertPredictor
  private var controller = PrefetchController()
  private var predicted: [Int32] = []
  /// Experts a layer that the chunk at hand may read ahead.
  private var ration = 0
  private var isSingle = false
  private var isJudging = false
  private var before = StoreStatistics()
  private var start = 0.0

  /// Reads ahead for `store` as `choice` says; nil when that is nothing.
  /// - Parameters:
  ///   - store: The store that the sequence uses.
  ///   - choice: What names the experts.
  ///   - usedCount: Most experts that a token uses in a layer.
  public init?(store: ExpertStore, choice: PrefetchChoice, usedCount: Int) {
    let counts = store.core.source.expertCounts
    let predictor = choice.makePredictor(
      layerCount: counts.count, expertCount: counts.max() ?? 0, usedCount: usedCount)
    guard let predictor else { return nil }
    self.predictor = predictor
    self.store = store
    self.usedCount = usedCount
    isControlled = choice == .auto
    predicted.reserveCapacity(usedCount)
  }

  /// Whether the chunk at hand reads ahead.
  public var isArmed: Bool { ration > 0 }

  /// Whether ``prefetch(layer:scores:)`` is to be called in place of ``prefetch(layer:)``.
  public var needsScores: Bool { predictor.needsScores }

  /// Begins a chunk of so many tokens.
  public func beginChunk(tokens: Int) {
    isSingle = tokens == 1
    if isControlled { judge(isEnd: isSingle) }
    ration = !isSingle ? 0 : isControlled ? controller.ration(usedCount: usedCount) : usedCount
  }

  /// Ends the chunk.
  public func endChunk() {
    if isArmed { store.core.table.withLock { $0.statistics.prefetch.armedTokens += 1 } }
    ration = 0
  }

  /// Notes that a token of the chunk uses `experts`, best first, in `layer`.
  public func learn(_ experts: ArraySlice<Int32>, layer: Int) {
    predictor.learn(experts, layer: layer)
  }

  /// Reads ahead for `layer`, the next one with experts.
  public func prefetch(layer: Int) {
    guard isArmed else { return }
    predictor.predict(layer: layer, count: ration, into: &predicted)
    store.prefetch(layer: layer, experts: predicted)
  }

  /// Reads ahead for `layer` by what its router says of another state than its own.
  public func prefetch(layer: Int, scores: UnsafeBufferPointer<Float>) {
    guard isArmed else { return }
    predictor.learn(scores: scores, layer: layer)
    prefetch(layer: layer)
  }

  /// Tells the controller of the token that ends with the one that begins now. The time between two
  /// tokens is part of it: the disk idles in it as well. Not so the time until the next prompt.
  private func judge(isEnd: Bool) {
    let (now, statistics) = (store.core.now(), store.statistics)
    if isJudging, isEnd {
      let cost = statistics - before
      controller.tokenEnded(
        .init(
          seconds: now - start, demandSeconds: cost.disk.demandSeconds,
          usefulBytes: cost.prefetch.usefulBytes, wastedBytes: cost.prefetch.wastedBytes))
    }
    (start, before) = (now, statistics)
    isJudging = isSingle
  }
}
