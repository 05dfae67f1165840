internal import Tensors

/// A tensor of a synthetic checkpoint: what it is, and how its random weights are distributed.
struct SyntheticTensor {
  /// How weights are distributed around which mean.
  enum Distribution: Hashable {
    /// Mean about 0, this standard deviation; any type.
    case deviation(Double)
    /// Uniform from a lower to an upper bound; F32 only.
    case uniform(Double, Double)
  }

  let name: String
  let type: TensorType
  /// ggml order, the contiguous axis first.
  let dimensions: [UInt64]
  let distribution: Distribution

  /// A matrix of `rows` x `columns`, repeated for each of `experts`: outputs keep the variance of
  /// the inputs.
  init(_ name: String, _ type: TensorType, columns: Int, rows: Int, experts: Int? = nil) {
    self.name = name
    self.type = type
    dimensions = [columns, rows].map(UInt64.init) + (experts.map { [UInt64($0)] } ?? [])
    distribution = .deviation(1 / Double(columns).squareRoot())
  }

  init(
    _ name: String, _ type: TensorType, dimensions: [Int], _ distribution: Distribution
  ) {
    self.name = name
    self.type = type
    self.dimensions = dimensions.map(UInt64.init)
    self.distribution = distribution
  }
}

extension RecipeShape {
  /// Whether layer `index` is full attention; the others are gated delta nets.
  func isFullAttention(layer index: Int) -> Bool {
    (index + 1).isMultiple(of: fullAttentionInterval)
  }

  /// The tensors of a checkpoint with `layers` layers and `vocabulary` tokens, in the order of
  /// llama.cpp's quantizer: those outside of blocks, then block by block, by name.
  func tensors(layers: Int, vocabulary: Int) -> [SyntheticTensor] {
    var result = [
      SyntheticTensor("output.weight", types.output, columns: embeddingLength, rows: vocabulary),
      norm("output_norm.weight", embeddingLength),
      // One row an input: unit variance starts the residual stream at the size of what the layers
      // add to it, so that tokens differ all the way up.
      SyntheticTensor(
        "token_embd.weight", types.embedding, dimensions: [embeddingLength, vocabulary],
        .deviation(1)),
    ]
    for layer in 0..<layers {
      let mixer = isFullAttention(layer: layer) ? attentionTensors : deltaNetTensors
      let block = (mixer + expertTensors + normTensors).map { tensor in
        (name: "blk.\(layer).\(tensor.name)", tensor: tensor)
      }
      result += block.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }.map {
        SyntheticTensor(renaming: $0.tensor, to: $0.name)
      }
    }
    return result
  }

  private var attentionTensors: [SyntheticTensor] {
    let query = attention.headCount * attention.keyLength
    let keyValue = attention.keyValueHeadCount * attention.keyLength
    return [
      // Query and output gate, head by head.
      dense("attn_q.weight", embeddingLength, 2 * query),
      dense("attn_k.weight", embeddingLength, keyValue),
      dense("attn_v.weight", embeddingLength, keyValue),
      dense("attn_output.weight", query, embeddingLength),
      norm("attn_q_norm.weight", attention.keyLength),
      norm("attn_k_norm.weight", attention.keyLength),
    ]
  }

  private var deltaNetTensors: [SyntheticTensor] {
    let heads = deltaNet.valueHeadCount
    return [
      dense("attn_qkv.weight", embeddingLength, deltaNet.channels),
      dense("attn_gate.weight", embeddingLength, deltaNet.valueLength),
      dense("ssm_alpha.weight", embeddingLength, heads),
      dense("ssm_beta.weight", embeddingLength, heads),
      dense("ssm_out.weight", deltaNet.valueLength, embeddingLength),
      norm("ssm_norm.weight", deltaNet.headLength),
      SyntheticTensor(
        "ssm_conv1d.weight", types.state, columns: deltaNet.convolutionWidth,
        rows: deltaNet.channels),
      // The state decays by exp(softplus(. + dt) a) a token: half-lives from one token to hundreds.
      SyntheticTensor("ssm_a", types.state, dimensions: [heads], .uniform(-2, -0.05)),
      SyntheticTensor("ssm_dt.bias", types.state, dimensions: [heads], .uniform(-4, 0)),
    ]
  }

  private var expertTensors: [SyntheticTensor] {
    let (hidden, inner) = (embeddingLength, experts.intermediateLength)
    let (count, shared) = (experts.count, experts.sharedIntermediateLength)
    return [
      SyntheticTensor(
        "ffn_gate_exps.weight", types.expertGate, columns: hidden, rows: inner, experts: count),
      SyntheticTensor(
        "ffn_up_exps.weight", types.expertUp, columns: hidden, rows: inner, experts: count),
      SyntheticTensor(
        "ffn_down_exps.weight", types.expertDown, columns: inner, rows: hidden, experts: count),
      SyntheticTensor("ffn_gate_inp.weight", types.router, columns: hidden, rows: count),
      dense("ffn_gate_shexp.weight", hidden, shared),
      dense("ffn_up_shexp.weight", hidden, shared),
      dense("ffn_down_shexp.weight", shared, hidden),
      SyntheticTensor(
        "ffn_gate_inp_shexp.weight", types.norm, dimensions: [hidden],
        .deviation(1 / Double(hidden).squareRoot())),
    ]
  }

  private var normTensors: [SyntheticTensor] {
    [
      norm("attn_norm.weight", embeddingLength),
      norm("post_attention_norm.weight", embeddingLength),
    ]
  }

  private func dense(_ name: String, _ columns: Int, _ rows: Int) -> SyntheticTensor {
    SyntheticTensor(name, types.dense, columns: columns, rows: rows)
  }

  private func norm(_ name: String, _ count: Int) -> SyntheticTensor {
    SyntheticTensor(name, types.norm, dimensions: [count], .uniform(0.75, 1.25))
  }
}

extension SyntheticTensor {
  fileprivate init(renaming tensor: SyntheticTensor, to name: String) {
    self.name = name
    type = tensor.type
    dimensions = tensor.dimensions
    distribution = tensor.distribution
  }
}
