/// Hyper-parameters of a Qwen3.5-MoE model, checked: every number is in a range that the graph can
/// compute with, and they do not contradict each other.
///
/// Sizes count float32 elements unless they say otherwise.
public struct ModelConfig: Sendable, Equatable {
  /// What mixes the tokens of a decoder layer.
  public enum Mixer: Sendable, Equatable {
    /// Softmax attention over all earlier positions.
    case fullAttention
    /// Linear attention with a recurrent state of fixed size.
    case gatedDeltaNet
  }

  /// Softmax attention with grouped queries and an output gate.
  public struct Attention: Sendable, Equatable {
    /// Query heads, a multiple of ``keyValueHeadCount``.
    public let headCount: Int
    /// Key and value heads.
    public let keyValueHeadCount: Int
    /// Elements of a head.
    public let headSize: Int
    /// Leading elements of a head that RoPE rotates, even.
    public let rotatedSize: Int
    /// RoPE's theta.
    public let ropeBase: Double

    /// Query heads that share a key head.
    public var groupSize: Int { headCount / keyValueHeadCount }
    /// Elements of all query heads.
    public var querySize: Int { headCount * headSize }
    /// Elements of all key heads, and of all value heads.
    public var keyValueSize: Int { keyValueHeadCount * headSize }
  }

  /// Linear attention: a gated delta net with a short convolution before it.
  public struct DeltaNet: Sendable, Equatable {
    /// Key heads.
    public let keyHeadCount: Int
    /// Value heads; head j uses key head j modulo ``keyHeadCount``.
    public let valueHeadCount: Int
    /// Elements of a key head and of a value head.
    public let headSize: Int
    /// Taps of the convolution over time, at least 2.
    public let convolutionWidth: Int

    /// Elements of all value heads.
    public var valueSize: Int { valueHeadCount * headSize }
    /// Elements of all key heads.
    public var keySize: Int { keyHeadCount * headSize }
    /// Channels of the convolution: queries, keys, values.
    public var channelCount: Int { 2 * keySize + valueSize }
    /// Elements of the recurrent state of a layer: `[value head, key, value]`.
    public var stateSize: Int { valueHeadCount * headSize * headSize }
    /// Elements of the inputs that the convolution keeps: `[width - 1, channel]`.
    public var historySize: Int { (convolutionWidth - 1) * channelCount }
  }

  /// Routed experts and the shared one.
  public struct Experts: Sendable, Equatable {
    /// Routed experts of a layer.
    public let count: Int
    /// Routed experts that a token uses: ``modelUsedCount`` unless it was overridden.
    public internal(set) var usedCount: Int
    /// Routed experts that a token of this model uses by its metadata, its top-k.
    public let modelUsedCount: Int
    /// Intermediate size of a routed expert.
    public let intermediateSize: Int
    /// Intermediate size of the shared expert.
    public let sharedIntermediateSize: Int

    /// The larger one of both.
    var largestIntermediateSize: Int { max(intermediateSize, sharedIntermediateSize) }
  }

  /// `general.architecture`.
  public let architecture: String
  /// Mixer of every decoder layer of the main pass; multi-token prediction blocks are not in it.
  public let mixers: [Mixer]
  /// Size of the residual stream.
  public let hiddenSize: Int
  /// Tokens of the vocabulary.
  public let vocabularySize: Int
  /// Positions that the model was made for.
  public let contextLength: Int
  /// Added to the mean square in every RMSNorm.
  public let rmsEpsilon: Float
  /// Softmax attention.
  public let attention: Attention
  /// Linear attention.
  public let deltaNet: DeltaNet
  /// Feed-forward part.
  public internal(set) var experts: Experts

  /// This model with `count` routed experts a token instead of its own top-k, their weights summing
  /// to 1 as ever; nil changes nothing. The text changes with it.
  /// - Throws: ``ModelGraphError`` unless `count` is at least 1 and no more than a layer has.
  public func usingExperts(_ count: Int?) throws -> ModelConfig {
    guard let count else { return self }
    let most = min(experts.count, Self.mostExpertsUsed)
    guard (1...most).contains(count) else {
      throw ModelGraphError(
        .invalidConfiguration,
        "experts used a token: expected 1 to \(most), found \(count); the model's own number is "
          + "\(experts.modelUsedCount)")
    }
    var config = self
    config.experts.usedCount = count
    return config
  }

  /// Decoder layers of the main pass.
  public var layerCount: Int { mixers.count }
  /// Layers with softmax attention.
  public var attentionLayerCount: Int { mixers.count { $0 == .fullAttention } }
  /// Layers with linear attention.
  public var deltaNetLayerCount: Int { mixers.count { $0 == .gatedDeltaNet } }
}
