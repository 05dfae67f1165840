/// How many of the experts that a generated token uses could have been named before its router spoke.
///
/// For every decoded token and layer a guess of as many experts as the token uses is compared with
/// the router's choice.
public struct PrefetchReplay: Sendable, Equatable {
  /// Experts used by the tokens that could be guessed.
  public private(set) var used = 0
  /// Those that the token before used in the same layer.
  public private(set) var inPreviousToken = 0
  /// Those among the experts that the layer's tokens used most so far, ties to the lower id.
  public private(set) var inMostPopular = 0

  /// Share of the used experts that the token before used too; 0 without any.
  public var previousTokenRecall: Double { used == 0 ? 0 : Double(inPreviousToken) / Double(used) }
  /// Share of the used experts that were the most popular; 0 without any.
  public var popularityRecall: Double { used == 0 ? 0 : Double(inMostPopular) / Double(used) }

  /// Replays the routes of `trace` token by token, those of prompts only to learn from.
  public init(_ trace: RoutingTrace) {
    var previous = [[Int]](repeating: [], count: trace.layers.count)
    var counts = [[Int]](
      repeating: [Int](repeating: 0, count: trace.expertCount), count: trace.layers.count)
    let order = trace.routes.indices.sorted { first, second in
      let (a, b) = (trace.routes[first], trace.routes[second])
      return (a.turn, a.phase.rawValue, a.step, a.layer)
        < (b.turn, b.phase.rawValue, b.step, b.layer)
    }
    for index in order {
      let route = trace.routes[index]
      let experts = trace.choices[route.choices].map(\.expert)
      let layer = route.layer
      if route.phase == .decode, !previous[layer].isEmpty {
        used += experts.count
        inPreviousToken += experts.count { previous[layer].contains($0) }
        for expert in experts {
          let own = counts[layer][expert]
          let better = counts[layer].indices.count {
            counts[layer][$0] > own || (counts[layer][$0] == own && $0 < expert)
          }
          if better < experts.count { inMostPopular += 1 }
        }
      }
      previous[layer] = experts
      for expert in experts { counts[layer][expert] += 1 }
    }
  }
}
