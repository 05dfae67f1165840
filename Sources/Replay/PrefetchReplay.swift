internal import ExpertStore

/// How many of the experts that a generated token uses could have been named before its router spoke.
///
/// For every decoded token and layer the engine's predictors name as many experts as the token uses,
/// and that is compared with the router's choice. Whether they were in the cache anyway is not asked.
public struct PrefetchReplay: Sendable, Equatable {
  /// Experts used by the tokens that could be guessed.
  public private(set) var used = 0
  /// Those that the token before used in the same layer.
  public private(set) var inPreviousToken = 0
  /// Those among the experts that the layer's tokens used most of late.
  public private(set) var inMostPopular = 0

  /// Share of the used experts that the token before used too; 0 without any.
  public var previousTokenRecall: Double { used == 0 ? 0 : Double(inPreviousToken) / Double(used) }
  /// Share of the used experts that were the most popular; 0 without any.
  public var popularityRecall: Double { used == 0 ? 0 : Double(inMostPopular) / Double(used) }

  /// Replays the routes of `trace` token by token, those of prompts only to learn from.
  public init(_ trace: RoutingTrace) {
    let requests = ExpertRequests(trace, batch: 1)
    let layers = trace.layers.count
    var previous = PreviousTokenPredictor(layerCount: layers, usedCount: trace.usedCount)
    var popularity = PopularityPredictor(layerCount: layers, expertCount: trace.expertCount)
    var guess: [Int32] = []
    for pass in requests.passes {
      if pass.phase == .decode {
        previous.predict(layer: pass.layer, count: pass.experts.count, into: &guess)
        if !guess.isEmpty {
          used += pass.experts.count
          inPreviousToken += guess.count { pass.experts.contains($0) }
          popularity.predict(layer: pass.layer, count: pass.experts.count, into: &guess)
          inMostPopular += guess.count { pass.experts.contains($0) }
        }
      }
      for token in pass.tokens {
        let experts = requests.choices[requests.tokenChoices[token]]
        previous.learn(experts, layer: pass.layer)
        popularity.learn(experts, layer: pass.layer)
      }
    }
  }
}
