internal import CKernels

/// Operations on float vectors. `count` is the length of every vector in the call.
extension KernelSet {
  /// The sum of `a[i] * b[i]`.
  public func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) -> Float {
    precondition(count >= 0)
    return table.pointee.dot(a, b, count)
  }

  /// `y[i] += factor * x[i]`
  public func addScaled(
    _ y: UnsafeMutablePointer<Float>, _ factor: Float, _ x: UnsafePointer<Float>, count: Int
  ) {
    precondition(count >= 0)
    table.pointee.add_scaled(y, factor, x, count)
  }

  /// `y[i] += x[i]`
  public func add(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int) {
    precondition(count >= 0)
    table.pointee.add(y, x, count)
  }

  /// RMSNorm: `out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i]`.
  ///
  /// Without `weight` the last factor is 1. `out` may be `x`.
  public func rmsNorm(
    _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>?, epsilon: Float,
    into out: UnsafeMutablePointer<Float>, count: Int
  ) {
    precondition(count >= 0)
    table.pointee.rms_norm(x, weight, epsilon, out, count)
  }

  /// L2 normalisation: `out[i] = x[i] / sqrt(sum(x^2) + epsilon)`. `out` may be `x`.
  public func l2Normalize(
    _ x: UnsafePointer<Float>, epsilon: Float, into out: UnsafeMutablePointer<Float>, count: Int
  ) {
    precondition(count >= 0)
    table.pointee.l2_normalize(x, epsilon, out, count)
  }

  /// The gated activation of a SwiGLU block: `out[i] = silu(gate[i]) * up[i]`.
  ///
  /// `out` may be `gate` or `up`.
  public func siluMultiply(
    _ gate: UnsafePointer<Float>, _ up: UnsafePointer<Float>,
    into out: UnsafeMutablePointer<Float>, count: Int
  ) {
    precondition(count >= 0)
    table.pointee.silu_multiply(gate, up, out, count)
  }

  /// An output gate: `y[i] *= sigmoid(gate[i])`.
  public func sigmoidMultiply(
    _ y: UnsafeMutablePointer<Float>, _ gate: UnsafePointer<Float>, count: Int
  ) {
    precondition(count >= 0)
    table.pointee.sigmoid_multiply(y, gate, count)
  }

  /// Softmax in place: `x[i] = exp(x[i]) / sum(exp(x))`.
  ///
  /// Negative infinity gives 0; with nothing else, or with a NaN, all results are NaN.
  public func softmax(_ x: UnsafeMutablePointer<Float>, count: Int) {
    precondition(count >= 0)
    table.pointee.softmax(x, count)
  }

  /// Rotary position embedding of one head in place, pairs `(i, i + rotatedCount / 2)` ("neox").
  ///
  /// - Parameters:
  ///   - head: `[head dimension]`; elements from `rotatedCount` on stay as they are.
  ///   - cosines: `[rotatedCount / 2]`, of the angle of each pair at this position.
  ///   - sines: `[rotatedCount / 2]`
  ///   - rotatedCount: Even, at most the head dimension.
  public func rotate(
    _ head: UnsafeMutablePointer<Float>, cosines: UnsafePointer<Float>,
    sines: UnsafePointer<Float>, rotatedCount: Int
  ) {
    precondition(rotatedCount >= 0 && rotatedCount % 2 == 0, "\(rotatedCount) are not in pairs")
    table.pointee.rotate_pairs(head, cosines, sines, rotatedCount / 2)
  }
}
