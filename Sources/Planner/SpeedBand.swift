public import Recipes

/// Tokens a second that a machine may be expected to decode.
///
/// A token waits for the experts that memory does not hold, and for its weights to pass through the
/// processor. The lower end takes experts as if all were asked for alike (the share of hits is the share in
/// memory), nothing done at once, and weights at half the speed of memory, as quantised kernels
/// have. The upper end takes the hits of a recorded conversation, reads that hide behind computing, and
/// weights at the speed of memory.
public struct SpeedBand: Sendable {
  /// Share of all experts that memory holds, 0 to 1.
  public let heldShare: Double
  /// Share of requests that meet an expert in memory, from and to.
  public let hitRates: ClosedRange<Double>
  /// Bytes a token reads from disk, from the most to the least.
  public let diskBytesPerToken: (most: Double, least: Double)
  /// Tokens a second.
  public let tokensPerSecond: ClosedRange<Double>

  /// Hit rates of a conversation with Qwen3-30B-A3B under policy `auto`, for models without recorded
  /// ones: recipes/results/cache-policy.csv.
  private static let usual: [(share: Double, rate: Double)] = [
    (0.0625, 0.423), (0.125, 0.624), (0.1875, 0.748), (0.25, 0.839), (0.375, 0.931), (0.5, 0.963),
  ]
  private static let kernelShare = 0.5

  /// Expects a speed.
  /// - Parameters:
  ///   - expertBytes: Bytes of experts that a token uses.
  ///   - residentBytes: Bytes of resident weights that a token passes through.
  ///   - slots: Experts that memory holds.
  ///   - expertCount: Experts of all layers.
  ///   - recorded: Hit rates of the model; nil for the usual ones.
  ///   - disk: Bytes a second.
  ///   - memory: Bytes a second.
  public init(
    expertBytes: UInt64, residentBytes: UInt64, slots: Int, expertCount: Int,
    recorded: RecipeReference.HitRates?, disk: Double, memory: Double
  ) {
    let share = min(1, Double(max(slots, 0)) / Double(max(expertCount, 1)))
    let points = recorded.map { $0.points.map { ($0.share, $0.rate) } } ?? Self.usual
    let best = max(share, Self.rate(at: share, of: points))
    let experts = Double(expertBytes)
    let compute = (experts + Double(residentBytes)) / max(memory, 1)
    let most = experts * (1 - share)
    let least = experts * (1 - best)
    let slow = most / max(disk, 1) + compute / Self.kernelShare
    let fast = max(least / max(disk, 1), compute)
    heldShare = share
    hitRates = share...best
    diskBytesPerToken = (most, least)
    tokensPerSecond = 1 / max(slow, 1e-9)...max(1 / max(fast, 1e-9), 1 / max(slow, 1e-9))
  }

  /// The rate at `share` on the line through `points`, from nothing held and none hit to all.
  package static func rate(at share: Double, of points: [(share: Double, rate: Double)]) -> Double {
    var before = (share: 0.0, rate: 0.0)
    for point in points + [(share: 1.0, rate: 1.0)] where point.share > before.share {
      if share <= point.share {
        let part = (share - before.share) / (point.share - before.share)
        return before.rate + part * (point.rate - before.rate)
      }
      before = point
    }
    return 1
  }
}
