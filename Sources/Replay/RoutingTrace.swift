/// Which experts the tokens of a run asked for, layer by layer.
///
/// A turn is a prompt and what was generated after it. The routes stand in the order they were
/// recorded, that of the file.
public struct RoutingTrace: Sendable, Equatable {
  /// What a token was evaluated for.
  public enum Phase: Int, Sendable {
    /// The prompt: many tokens go through a layer together.
    case prefill = 0
    /// Generation: one token at a time.
    case decode = 1
  }

  /// Sizes of a layer.
  public struct Layer: Sendable, Equatable {
    /// Bytes of one of its experts.
    public let expertBytes: Int
    /// Bytes of everything else in the layer.
    public let denseBytes: Int

    /// A layer of these sizes.
    public init(expertBytes: Int, denseBytes: Int) {
      self.expertBytes = expertBytes
      self.denseBytes = denseBytes
    }
  }

  /// One expert of a token in a layer.
  public struct Choice: Sendable, Equatable {
    /// Expert within the layer.
    public let expert: Int
    /// Its weight in the sum.
    public let weight: Float
    /// Whether it was in memory when the layer began.
    public let isResident: Bool
    /// Bytes that were read for it; 0 for all but the first token of a chunk that uses it.
    public let bytesRead: Int

    /// A choice, as it was recorded.
    public init(expert: Int, weight: Float, isResident: Bool, bytesRead: Int) {
      self.expert = expert
      self.weight = weight
      self.isResident = isResident
      self.bytesRead = bytesRead
    }
  }

  /// Where a token passed a layer.
  public struct Route: Sendable, Equatable {
    /// Prompt and answer, from 0.
    public let turn: Int
    /// What the token was evaluated for.
    public let phase: Phase
    /// Position of the token in its turn.
    public let step: Int
    /// Decoder layer.
    public let layer: Int
    /// Its entries of ``RoutingTrace/choices``, best first.
    public let choices: Range<Int>
  }

  /// What a trace may hold at most, so that no file makes a reader run out of memory.
  public enum Limit {
    /// Layers.
    public static let layers = 1024
    /// Experts of all layers.
    public static let experts = 1 << 20
    /// Experts of a token in a layer.
    public static let used = 1024
    /// Bytes of an expert, or of the rest of a layer.
    public static let bytes = 1 << 36
    /// Turns, and steps of a turn.
    public static let steps = 1 << 24
  }

  /// Name of the model, without line feeds.
  public let model: String
  /// Architecture of the model, without spaces.
  public let architecture: String
  /// Experts of a layer.
  public let expertCount: Int
  /// Most experts that a token uses in a layer.
  public let usedCount: Int
  /// Tokens of the prompt that went through a layer together, when known.
  public let batch: Int?
  /// Every layer.
  public let layers: [Layer]
  /// What happened, in order.
  public private(set) var routes: [Route] = []
  /// Experts of all routes.
  public private(set) var choices: [Choice] = []

  /// An empty trace.
  /// - Parameters:
  ///   - model: Name of the model; line feeds and commas become spaces.
  ///   - architecture: Architecture of the model; spaces become underscores.
  ///   - expertCount: Experts of a layer.
  ///   - usedCount: Most experts that a token uses in a layer.
  ///   - batch: Tokens of the prompt that go through a layer together, when known.
  ///   - layers: Every layer.
  public init(
    model: String, architecture: String, expertCount: Int, usedCount: Int, batch: Int?,
    layers: [Layer]
  ) {
    self.model = String(model.map { $0.isNewline ? " " : $0 })
    self.architecture = String(architecture.map { $0.isWhitespace ? "_" : $0 })
    self.expertCount = expertCount
    self.usedCount = usedCount
    self.batch = batch
    self.layers = layers
  }

  /// Appends what one token used in one layer. Traps on a layer or expert that the trace has not.
  public mutating func append(
    turn: Int, phase: Phase, step: Int, layer: Int, choices: some Sequence<Choice>
  ) {
    precondition(layers.indices.contains(layer))
    let start = self.choices.count
    for choice in choices {
      precondition((0..<expertCount).contains(choice.expert))
      self.choices.append(choice)
    }
    routes.append(
      Route(
        turn: turn, phase: phase, step: step, layer: layer, choices: start..<self.choices.count))
  }

  /// Bytes of the largest expert.
  public var largestExpertBytes: Int { layers.map(\.expertBytes).max() ?? 0 }

  /// Tokens evaluated in `phase`.
  public func tokenCount(_ phase: Phase) -> Int {
    struct Step: Hashable {
      let turn: Int
      let step: Int
    }
    return Set(
      routes.lazy.filter { $0.phase == phase }.map { Step(turn: $0.turn, step: $0.step) }
    ).count
  }
}
