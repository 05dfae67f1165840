public import Tensors

/// `shape.types` of a recipe: the ggml type of every role that a tensor can have.
public struct RecipeTypes: Sendable, Hashable {
  /// Gate of the routed experts.
  public let expertGate: TensorType
  /// Up projection of the routed experts.
  public let expertUp: TensorType
  /// Down projection of the routed experts.
  public let expertDown: TensorType
  /// Token embedding.
  public let embedding: TensorType
  /// The head that gives logits.
  public let output: TensorType
  /// Every other matrix: attention, gated delta net, shared expert.
  public let dense: TensorType
  /// The router.
  public let router: TensorType
  /// RMSNorm weights, and the gate of the shared expert; F32, as converters write them.
  public let norm: TensorType
  /// Decay, time step and convolution of the gated delta net; F32, as converters write them.
  public let state: TensorType

  init(_ node: RecipeNode) throws(RecipeError) {
    let fields = try node.mapping([
      "expert_gate", "expert_up", "expert_down", "embedding", "output", "dense", "router", "norm",
      "state",
    ])
    func type(
      _ key: String, among types: [TensorType] = SyntheticBlocks.types
    ) throws(RecipeError) -> TensorType {
      let name = try fields[key].text()
      guard let type = TensorType(name: name), types.contains(type) else {
        throw fields[key].error(
          "expected \(types.map(\.name).joined(separator: ", ")); found '\(name.prefix(64))'")
      }
      return type
    }
    expertGate = try type("expert_gate")
    expertUp = try type("expert_up")
    expertDown = try type("expert_down")
    embedding = try type("embedding")
    output = try type("output")
    dense = try type("dense")
    router = try type("router")
    norm = try type("norm", among: [.f32])
    state = try type("state", among: [.f32])
  }

  /// Checks that every row of every matrix is a whole number of blocks.
  func checkColumns(of shape: RecipeShape, at node: RecipeNode) throws(RecipeError) {
    let hidden = ("embedding_length", shape.embeddingLength)
    let roles: [(String, TensorType, [(String, Int)])] = [
      ("expert_gate", expertGate, [hidden]), ("expert_up", expertUp, [hidden]),
      (
        "expert_down", expertDown,
        [("expert_feed_forward_length", shape.experts.intermediateLength)]
      ),
      ("embedding", embedding, [hidden]), ("output", output, [hidden]),
      (
        "dense", dense,
        [
          hidden,
          ("head_count * key_length", shape.attention.headCount * shape.attention.keyLength),
          ("ssm.inner_size", shape.deltaNet.valueLength),
          ("expert_shared_feed_forward_length", shape.experts.sharedIntermediateLength),
        ]
      ),
      ("router", router, [hidden]),
    ]
    for (role, type, columns) in roles {
      for (name, count) in columns where !count.isMultiple(of: type.blockSize) {
        throw node.error(
          "\(role): a block of \(type.name) holds \(type.blockSize) weights of a row; expected "
            + "\(name) to be a multiple of it, found \(count)")
      }
    }
  }
}
