internal import ExpertStore

/// What a trace asks of the expert store: its passes, in the order an engine makes them.
public struct ExpertRequests: Sendable {
  /// One layer's experts for one token, or for a chunk of a prompt.
  public struct Pass: Sendable, Equatable {
    /// What the tokens were evaluated for.
    public let phase: RoutingTrace.Phase
    /// Decoder layer.
    public let layer: Int
    /// Distinct experts, ascending.
    public let experts: [Int32]
    /// Its tokens, which go through the layer together, in order: entries of
    /// ``ExpertRequests/tokenChoices``.
    public let tokens: Range<Int>

    /// Whether the engine serves it as a chunk: expert by expert, each with all of its tokens.
    public var isChunk: Bool { tokens.count > ExpertStore.largestSlicePass }
  }

  /// All passes.
  public let passes: [Pass]
  /// Of every token in a layer the experts it uses, as a range of ``choices``.
  public let tokenChoices: [Range<Int>]
  /// Experts of all tokens in all layers, each token's best first.
  public let choices: [Int32]
  /// Experts of a layer.
  public let expertCount: Int
  /// Most experts that a token uses in a layer.
  public let usedCount: Int
  /// Bytes of an expert, by layer.
  public let expertBytes: [Int]
  /// Tokens evaluated for the prompts, and one at a time.
  public let tokens: (prefill: Int, decode: Int)
  /// Tokens of a prompt that go through a layer together.
  public let batch: Int

  /// Tokens of a chunk for traces that do not say; the engine's own default.
  public static let defaultBatch = 512

  /// Puts the routes of `trace` in order: chunk by chunk, in each layer by layer.
  ///
  /// `batch` is the number of tokens of a prompt that go through a layer together, at least 1; nil
  /// for what the trace says.
  public init(_ trace: RoutingTrace, batch: Int? = nil) {
    let batch = max(1, batch ?? trace.batch ?? Self.defaultBatch)
    self.batch = batch
    expertCount = trace.expertCount
    usedCount = trace.usedCount
    expertBytes = trace.layers.map(\.expertBytes)
    tokens = (trace.tokenCount(.prefill), trace.tokenCount(.decode))
    var firstStep: [Int: Int] = [:]
    for route in trace.routes where route.phase == .prefill {
      firstStep[route.turn] = min(firstStep[route.turn] ?? Int.max, route.step)
    }
    let ordered = trace.routes.indices.map { index -> Entry in
      let route = trace.routes[index]
      let chunk =
        route.phase == .decode
        ? route.step : (route.step - (firstStep[route.turn] ?? 0)) / batch
      return Entry(
        index: index, order: (route.turn, route.phase.rawValue, chunk, route.layer))
    }.sorted { (first: Entry, second: Entry) in first.order < second.order }
    var passes: [Pass] = []
    var tokenChoices: [Range<Int>] = []
    var choices: [Int32] = []
    var start = 0
    while start < ordered.count {
      var end = start + 1
      while end < ordered.count, ordered[end].order == ordered[start].order { end += 1 }
      var experts = Set<Int32>()
      let firstToken = tokenChoices.count
      for entry in ordered[start..<end] {
        let firstChoice = choices.count
        for choice in trace.choices[trace.routes[entry.index].choices] {
          choices.append(Int32(choice.expert))
        }
        experts.formUnion(choices[firstChoice...])
        tokenChoices.append(firstChoice..<choices.count)
      }
      let first = trace.routes[ordered[start].index]
      passes.append(
        Pass(
          phase: first.phase, layer: first.layer, experts: experts.sorted(),
          tokens: firstToken..<tokenChoices.count))
      start = end
    }
    self.passes = passes
    self.tokenChoices = tokenChoices
    self.choices = choices
  }

  /// A route and its place among the passes.
  private struct Entry {
    let index: Int
    let order: (turn: Int, phase: Int, chunk: Int, layer: Int)
  }

  /// Experts of all layers.
  public var keyCount: Int { expertBytes.count * expertCount }
  /// Layers with experts.
  public var layerCount: Int { expertBytes.count { $0 > 0 } }
  /// Bytes of a slot of the store: the largest expert, rounded up to 16 KiB.
  public var slotBytes: Int { (max(expertBytes.max() ?? 1, 1) + 16383) / 16384 * 16384 }
  /// Number of a layer's expert 0.
  func firstKey(_ layer: Int) -> Int { layer * expertCount }
}
