internal import Kernels
internal import Tensors
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// One chunk of tokens on its way through the layers: what every block needs to know.
struct Evaluation {
  let config: ModelConfig
  let kernels: KernelSet
  let pool: ComputePool
  let scratch: Scratch
  let observer: Session.Observer?
  /// Tokens of the chunk, at most the batch of `scratch`.
  private(set) var tokens: Int
  /// The last so many tokens are those whose output anybody wants. What follows the last layer's mixer
  /// is computed for them alone: nothing else depends on it.
  let outputTokens: Int
  /// Of quantised activations.
  let precision: Activations.Precision
  /// Position of the first token in the sequence.
  private(set) var position: Int
  /// What reads experts ahead; nil for nothing.
  var forecast: ExpertForecast?

  /// The same evaluation of the last ``outputTokens`` tokens alone; their rows of the stream move to its
  /// front.
  func narrowed() -> Evaluation {
    var run = self
    let first = tokens - outputTokens
    run.tokens = outputTokens
    run.position += first
    memmove(
      scratch.residual, scratch.residual + first * config.hiddenSize,
      outputTokens * config.hiddenSize * 4)
    return run
  }

  /// The input of a block, `[tokens, columns]` tightly packed, quantised once for all the products it
  /// enters. The quantised rows last until the next call.
  ///
  /// `tokens` is that of the chunk unless given.
  func input(_ x: UnsafePointer<Float>, columns: Int, tokens: Int? = nil) -> Activations {
    quantize(x, columns: columns, tokens: tokens ?? self.tokens, into: scratch.quantized)
  }

  /// As ``input(_:columns:)``, for vectors within a block: the input stays as it is.
  func inner(_ x: UnsafePointer<Float>, columns: Int) -> Activations {
    quantize(x, columns: columns, tokens: tokens, into: scratch.quantizedInner)
  }

  private func quantize(
    _ x: UnsafePointer<Float>, columns: Int, tokens: Int, into out: UnsafeMutableRawPointer
  ) -> Activations {
    let bytes = kernels.quantizedByteCount(columns: columns)
    guard bytes > 0 else { return Activations(x, stride: columns) }
    pool.forEach(tokens, grain: max(1, (32 << 10) / columns)) { range in
      kernels.quantize(
        x + range.lowerBound * columns, stride: columns, columns: columns, tokens: range.count,
        precision: precision, into: out + range.lowerBound * bytes)
    }
    return Activations(x, stride: columns, quantized: out, precision: precision)
  }

  /// `out[t] = w x[t]` for all tokens of the chunk, rows of `out` tightly packed.
  func multiply(_ w: MatrixView, _ x: Activations, into out: UnsafeMutablePointer<Float>) {
    kernels.multiply(w, x, tokens: tokens, into: out, outStride: w.rows, pool: pool)
  }

  /// All `projections` of `x` for all tokens of the chunk, as one job of the threads.
  func multiply(_ projections: [Projection], _ x: Activations) {
    kernels.multiply(projections, x, tokens: tokens, pool: pool)
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
