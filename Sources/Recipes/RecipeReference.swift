/// Section `reference` of a recipe: figures that were published or measured, each with its source.
public struct RecipeReference: Sendable, Hashable {
  /// A figure for people.
  public struct Figure: Sendable, Hashable, Encodable {
    /// What it is: `parameters`.
    public let figure: String
    /// `122 billion, 10 billion a token`.
    public let value: String
    /// Where it was read or how it was measured.
    public let source: String
  }

  /// The share of a conversation's requests that met an expert in memory, by the share of all experts
  /// that memory holds.
  public struct HitRates: Sendable, Hashable {
    /// Where it was measured.
    public let source: String
    /// Share of experts in memory and share of requests that hit, both from 0 to 1, ascending.
    public let points: [Point]

    /// A measured point.
    public struct Point: Sendable, Hashable {
      /// Share of all experts in memory.
      public let share: Double
      /// Share of requests that hit.
      public let rate: Double
    }
  }

  /// In the order of the file.
  public let figures: [Figure]
  /// nil where none were measured.
  public let hitRates: HitRates?

  init() { (figures, hitRates) = ([], nil) }

  init(_ node: RecipeNode) throws(RecipeError) {
    let fields = try node.mapping(["figures", "hit_rates"], optional: ["figures", "hit_rates"])
    var figures: [Figure] = []
    if let list = fields.optional("figures") {
      for node in try list.elements(atMost: 64) {
        let fields = try node.mapping(["figure", "value", "source"])
        figures.append(
          Figure(
            figure: try fields["figure"].text(atMost: 64),
            value: try fields["value"].text(atMost: 256),
            source: try fields["source"].text()))
      }
    }
    self.figures = figures
    hitRates = try fields.optional("hit_rates").map { node throws(RecipeError) in
      try HitRates(node)
    }
  }
}

extension RecipeReference.HitRates {
  fileprivate init(_ node: RecipeNode) throws(RecipeError) {
    let fields = try node.mapping(["source", "points"])
    source = try fields["source"].text()
    var points: [Point] = []
    for node in try fields["points"].elements(atMost: 64) {
      let pair = try node.elements(atMost: 2)
      guard pair.count == 2 else {
        throw node.error("expected [share of experts in memory, share of hits], found one number")
      }
      let point = Point(share: try pair[0].number(0...1), rate: try pair[1].number(0...1))
      if let last = points.last, point.share <= last.share || point.rate < last.rate {
        throw node.error("expected more than the point before, \(last.share) and \(last.rate)")
      }
      points.append(point)
    }
    self.points = points
  }
}
