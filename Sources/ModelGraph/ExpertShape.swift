internal import ExpertPack
internal import Kernels

/// The routed experts of a layer as the graph needs them.
enum ExpertShape {
  /// Checks that layer `layer` of `pack` has the experts that `config` speaks of, with a gate, in
  /// element types that `kernels` computes.
  /// - Parameters:
  ///   - layer: Decoder layer.
  ///   - config: What the experts have to be.
  ///   - pack: Whose experts they are.
  ///   - kernels: What computes them.
  /// - Returns: Compute slices of an expert.
  /// - Throws: ``ModelGraphError`` that says what was expected and found.
  static func check(
    layer: Int, config: ModelConfig, pack: PackDirectory, kernels: KernelSet
  ) throws -> Int {
    func wrong(_ what: String, expected: String, found: String) -> ModelGraphError {
      ModelGraphError(
        .invalidTensor,
        "\(pack.path): layer \(layer): \(what): expected \(expected), found \(found)")
    }
    let shape = config.experts
    guard let record = pack.expertLayer(layer) else {
      throw wrong("routed experts", expected: "\(shape.count)", found: "none")
    }
    guard record.expertCount == shape.count else {
      throw wrong("routed experts", expected: "\(shape.count)", found: "\(record.expertCount)")
    }
    let slices = record.geometry.computeSlices
    for role in [ExpertRole.gate, .up, .down] {
      guard let part = record.geometry.components.first(where: { $0.role == role }) else {
        throw wrong("experts' \(role)", expected: "a matrix", found: "none")
      }
      let isDown = role == .down
      let found = (
        rows: part.rows * (isDown ? 1 : slices), columns: part.columns * (isDown ? slices : 1)
      )
      let expected =
        isDown
        ? (rows: config.hiddenSize, columns: shape.intermediateSize)
        : (rows: shape.intermediateSize, columns: config.hiddenSize)
      guard found == expected else {
        throw wrong(
          "experts' \(role)", expected: "\(expected.rows) x \(expected.columns)",
          found: "\(found.rows) x \(found.columns)")
      }
      guard kernels.supports(part.type) else {
        throw wrong(
          "experts' \(role)", expected: "an element type that moerun computes",
          found: "\(part.type)")
      }
    }
    return slices
  }
}
