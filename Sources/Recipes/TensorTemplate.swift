public import Tensors

/// What a tensor is for; `shape.types` of a recipe has a ggml type for each role of the architecture.
public enum TensorRole: String, Sendable, CaseIterable {
  /// Gate of the routed experts.
  case expertGate = "expert_gate"
  /// Up projection of the routed experts.
  case expertUp = "expert_up"
  /// Down projection of the routed experts.
  case expertDown = "expert_down"
  /// Token embedding.
  case embedding
  /// The head that gives logits.
  case output
  /// Every other matrix: attention, dense feed-forward, shared expert.
  case dense
  /// The router.
  case router
  /// Weights of norms, biases and other vectors; F32, as converters write them.
  case norm
  /// Decay, time step and convolution of a gated delta net; F32, as converters write them.
  case state

  /// Types that a recipe may give the role.
  var allowedTypes: [TensorType] {
    self == .norm || self == .state ? [.f32] : ModelTensor.types
  }
}

/// How random weights are distributed.
public enum WeightDistribution: Hashable, Sendable {
  /// Mean about 0, this standard deviation; any type.
  case deviation(Double)
  /// Uniform from a lower to an upper bound; F32 only.
  case uniform(Double, Double)
}

/// A tensor of a synthetic checkpoint: what it is, and how its random weights are distributed.
public struct ModelTensor: Sendable {
  /// Full name in the GGUF.
  public let name: String
  /// ggml type.
  public let type: TensorType
  /// ggml order, the contiguous axis first.
  public let dimensions: [UInt64]
  /// How its random weights are distributed.
  public let distribution: WeightDistribution

  /// The types that random weights can be made of, by ggml's number.
  public static let types: [TensorType] = [
    .f32, .f16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq2_XXS,
    .iq2_XS, .iq3_XXS, .iq4_NL, .iq3_S, .iq2_S, .iq4_XS, .bf16, .mxfp4,
  ]
}

/// A tensor that an architecture has, once or in every block of a kind.
struct TensorTemplate: Sendable {
  /// Blocks that have the tensor.
  enum Place: Sendable {
    /// Outside of blocks.
    case model
    case everyBlock
    /// Blocks of full attention; all, unless the shape has `full_attention_interval`.
    case attention
    /// The other blocks: gated delta nets.
    case recurrent
    /// The first `leading_dense_block_count`.
    case leadingDense
    /// All others.
    case experts
    /// The last `nextn_predict_layers`, which predict further tokens.
    case predicting

    func holds(_ shape: ModelShape, block: Int) -> Bool {
      switch self {
      case .model: false
      case .everyBlock: true
      case .attention: shape.isFullAttention(block)
      case .recurrent: !shape.isFullAttention(block)
      case .leadingDense: block < shape.leadingDenseCount
      case .experts: block >= shape.leadingDenseCount
      case .predicting: block >= shape.blockCount - shape.predictingCount
      }
    }
  }

  /// Within its block, or as it is: `attn_q.weight`.
  let name: String
  let role: TensorRole
  let place: Place
  /// ggml order, the contiguous axis first.
  let dimensions: [Extent]
  /// nil for one that keeps the variance of a row's inputs: 1 / sqrt(columns).
  let distribution: WeightDistribution?

  init(
    _ name: String, _ role: TensorRole, in place: Place, _ dimensions: [Extent],
    _ distribution: WeightDistribution? = nil
  ) {
    self.name = name
    self.role = role
    self.place = place
    self.dimensions = dimensions
    self.distribution = distribution
  }

  /// A matrix of `rows` x `columns`, perhaps a number of them.
  static func matrix(
    _ name: String, _ role: TensorRole = .dense, in place: Place, columns: Extent, rows: Extent,
    times: Extent? = nil
  ) -> TensorTemplate {
    TensorTemplate(name, role, in: place, [columns, rows] + (times.map { [$0] } ?? []))
  }

  /// Weights of an RMSNorm.
  static func norm(
    _ name: String, in place: Place = .everyBlock, _ length: Extent
  ) -> TensorTemplate {
    TensorTemplate(name, .norm, in: place, [length], .uniform(0.75, 1.25))
  }

  /// A bias: small beside outputs of unit variance.
  static func bias(_ name: String, in place: Place, _ dimensions: Extent...) -> TensorTemplate {
    TensorTemplate(name, .norm, in: place, dimensions, .deviation(0.02))
  }

  func tensor(name: String, _ shape: ModelShape) -> ModelTensor {
    let sizes = dimensions.map { $0.value(shape) }
    return ModelTensor(
      name: name, type: shape.type(of: role), dimensions: sizes.map(UInt64.init),
      distribution: distribution ?? .deviation(1 / Double(max(sizes[0], 1)).squareRoot()))
  }
}
