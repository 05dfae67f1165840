internal import Kernels
internal import Tensors

/// One chunk of tokens on its way through the layers: what every block needs to know.
struct Evaluation {
  let config: ModelConfig
  let kernels: KernelSet
  let pool: ComputePool
  let scratch: Scratch
  let observer: Session.Observer?
  /// Tokens of the chunk, at most the batch of `scratch`.
  let tokens: Int
  /// Position of the first token in the sequence.
  let position: Int

  /// `out[t] = w x[t]` for all tokens of the chunk, rows of `x` and `out` tightly packed.
  func multiply(
    _ w: MatrixView, _ x: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>
  ) {
    kernels.multiply(
      w, x, xStride: w.columns, tokens: tokens, into: out, outStride: w.rows, pool: pool)
  }

  /// `sum += values` for every token's hidden vector.
  func add(_ values: UnsafePointer<Float>, to sum: UnsafeMutablePointer<Float>) {
    let size = config.hiddenSize
    pool.forEach(tokens, grain: 8) { range in
      kernels.add(
        sum + range.lowerBound * size, values + range.lowerBound * size, count: range.count * size)
    }
  }

  /// RMSNorm of every token's hidden vector.
  func normalize(
    _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    into out: UnsafeMutablePointer<Float>
  ) {
    let size = config.hiddenSize
    pool.forEach(tokens, grain: 8) { range in
      for token in range {
        kernels.rmsNorm(
          x + token * size, weight: weight, epsilon: config.rmsEpsilon, into: out + token * size,
          count: size)
      }
    }
  }

  /// Shows `values` to the observer, if there is one. `isSecond` says that another tensor of this name
  /// came before in the layer.
  func observe(
    _ name: @autoclosure () -> String, layer: Int?, _ values: UnsafePointer<Float>,
    _ shape: @autoclosure () -> [Int], isSecond: Bool = false
  ) {
    guard let observer else { return }
    let shape = shape()
    let label = name() + (layer.map { "-\($0)" } ?? "") + (isSecond ? "+" : "")
    observer(
      label, layer, UnsafeBufferPointer(start: values, count: shape.reduce(1, *)), shape)
  }
}
