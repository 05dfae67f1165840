internal import ExpertPack
internal import FileIO
internal import Kernels
internal import Tensors

/// Weights of softmax attention. Matrices are (outputs, inputs).
struct AttentionWeights {
  /// `[heads * 2 * head size, hidden]`: of each head the query, then its output gate.
  let queryAndGate: MatrixView
  /// `[kv heads * head size, hidden]`
  let key: MatrixView
  /// `[kv heads * head size, hidden]`
  let value: MatrixView
  /// `[hidden, heads * head size]`
  let output: MatrixView
  /// `[head size]`
  let queryNorm: UnsafePointer<Float>
  /// `[head size]`
  let keyNorm: UnsafePointer<Float>
}

/// Weights of a gated delta net.
struct DeltaNetWeights {
  /// `[channels, hidden]`: queries, keys, values.
  let queryKeyValue: MatrixView
  /// `[value size, hidden]`, the output gate z.
  let gate: MatrixView
  /// `[value heads, hidden]`
  let beta: MatrixView
  /// `[value heads, hidden]`
  let alpha: MatrixView
  /// `[value heads]`, added to alpha's product.
  let timeStepBias: UnsafePointer<Float>
  /// `[value heads]`: -exp(A_log).
  let decay: UnsafePointer<Float>
  /// `[channels, width]`, oldest tap first.
  let convolution: UnsafePointer<Float>
  /// `[head size]`, shared by all value heads.
  let norm: UnsafePointer<Float>
  /// `[hidden, value size]`
  let output: MatrixView
}

/// Weights of a mixture of experts, but for the routed experts themselves.
struct ExpertBlockWeights {
  /// `[experts, hidden]`
  let router: MatrixView
  /// `[shared intermediate, hidden]`
  let sharedGate: MatrixView
  /// `[shared intermediate, hidden]`
  let sharedUp: MatrixView
  /// `[hidden, shared intermediate]`
  let sharedDown: MatrixView
  /// `[1, hidden]`: how much of the shared expert a token takes.
  let sharedRouter: MatrixView
}

/// One decoder layer.
struct LayerWeights {
  enum Mixer {
    case fullAttention(AttentionWeights)
    case gatedDeltaNet(DeltaNetWeights)
  }

  /// `[hidden]`
  let mixerNorm: UnsafePointer<Float>
  let mixer: Mixer
  /// `[hidden]`
  let expertNorm: UnsafePointer<Float>
  let experts: ExpertBlockWeights
}

/// All resident weights, bound once to what they mean.
///
/// Views and pointers lead into `image` and `converted`, which the value keeps alive.
struct ModelWeights: @unchecked Sendable {
  // Sendable: weights are read-only once bound.

  /// `[vocabulary, hidden]`
  let embedding: MatrixView
  let layers: [LayerWeights]
  /// Compute slices of an expert, by layer.
  let sliceCounts: [Int]
  /// `[hidden]`
  let finalNorm: UnsafePointer<Float>
  /// `[vocabulary, hidden]`; the embedding itself when the file has no head of its own.
  let output: MatrixView
  private let image: AlignedBuffer
  private let converted: [AlignedBuffer]

  /// Binds the tensors of `pack`, whose resident image is `image`.
  /// - Throws: ``ModelGraphError`` naming the first tensor that is absent, misshapen or unknown.
  init(
    pack: PackDirectory, config: ModelConfig, image: AlignedBuffer, kernels: KernelSet
  ) throws {
    var binder = TensorBinder(pack: pack, image: image, kernels: kernels)
    let (vocabulary, hidden) = (config.vocabularySize, config.hiddenSize)
    embedding = try binder.matrix(TensorName.embedding, rows: vocabulary, columns: hidden)
    finalNorm = try binder.vector(TensorName.finalNorm, hidden)
    output =
      binder.has(TensorName.output)
      ? try binder.matrix(TensorName.output, rows: vocabulary, columns: hidden) : embedding
    var layers: [LayerWeights] = []
    var sliceCounts: [Int] = []
    for layer in 0..<config.layerCount {
      layers.append(try LayerWeights(layer: layer, config: config, binder: &binder))
      sliceCounts.append(
        try ExpertShape.check(layer: layer, config: config, pack: pack, kernels: kernels))
    }
    try binder.checkAllBound(layerCount: config.layerCount)
    self.layers = layers
    self.sliceCounts = sliceCounts
    self.image = image
    converted = binder.converted
  }
}

extension LayerWeights {
  fileprivate init(layer: Int, config: ModelConfig, binder: inout TensorBinder) throws {
    func name(_ part: String) -> String { TensorName.block(layer, part) }
    let hidden = config.hiddenSize
    mixerNorm = try binder.vector(name("attn_norm.weight"), hidden)
    expertNorm = try binder.vector(name("post_attention_norm.weight"), hidden)
    switch config.mixers[layer] {
    case .fullAttention:
      let shape = config.attention
      mixer = .fullAttention(
        AttentionWeights(
          queryAndGate: try binder.matrix(
            name("attn_q.weight"), rows: 2 * shape.querySize, columns: hidden),
          key: try binder.matrix(name("attn_k.weight"), rows: shape.keyValueSize, columns: hidden),
          value: try binder.matrix(
            name("attn_v.weight"), rows: shape.keyValueSize, columns: hidden),
          output: try binder.matrix(
            name("attn_output.weight"), rows: hidden, columns: shape.querySize),
          queryNorm: try binder.vector(name("attn_q_norm.weight"), shape.headSize),
          keyNorm: try binder.vector(name("attn_k_norm.weight"), shape.headSize)))
    case .gatedDeltaNet:
      let shape = config.deltaNet
      let heads = shape.valueHeadCount
      mixer = .gatedDeltaNet(
        DeltaNetWeights(
          queryKeyValue: try binder.matrix(
            name("attn_qkv.weight"), rows: shape.channelCount, columns: hidden),
          gate: try binder.matrix(
            name("attn_gate.weight"), rows: shape.valueSize, columns: hidden),
          beta: try binder.matrix(name("ssm_beta.weight"), rows: heads, columns: hidden),
          alpha: try binder.matrix(name("ssm_alpha.weight"), rows: heads, columns: hidden),
          timeStepBias: try binder.vector(name("ssm_dt.bias"), heads),
          decay: try binder.vector(name("ssm_a"), heads),
          convolution: try binder.vector(
            name("ssm_conv1d.weight"), shape.convolutionWidth, shape.channelCount),
          norm: try binder.vector(name("ssm_norm.weight"), shape.headSize),
          output: try binder.matrix(
            name("ssm_out.weight"), rows: hidden, columns: shape.valueSize)))
    }
    let shared = config.experts.sharedIntermediateSize
    experts = ExpertBlockWeights(
      router: try binder.matrix(
        name("ffn_gate_inp.weight"), rows: config.experts.count, columns: hidden),
      sharedGate: try binder.matrix(name("ffn_gate_shexp.weight"), rows: shared, columns: hidden),
      sharedUp: try binder.matrix(name("ffn_up_shexp.weight"), rows: shared, columns: hidden),
      sharedDown: try binder.matrix(name("ffn_down_shexp.weight"), rows: hidden, columns: shared),
      sharedRouter: try binder.matrix(
        name("ffn_gate_inp_shexp.weight"), rows: 1, columns: hidden))
  }
}
