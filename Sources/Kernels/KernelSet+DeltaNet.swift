internal import CKernels

/// Steps of the gated delta net, one token at a time.
extension KernelSet {
  /// One step of a causal depth-wise convolution over time, with SiLU:
  /// `out[c] = silu(sum over j of taps[c * width + j] * history[j][c])`.
  ///
  /// - Parameters:
  ///   - taps: `[channels, width]`, oldest first.
  ///   - history: `width` pointers to inputs `[channels]`, oldest first, the current one last.
  ///   - width: Taps of a channel, at least 1.
  ///   - out: `[channels]`; none of the inputs.
  ///   - channels: Independent channels.
  public func convolveSilu(
    taps: UnsafePointer<Float>, history: UnsafePointer<UnsafePointer<Float>>, width: Int,
    into out: UnsafeMutablePointer<Float>, channels: Int
  ) {
    precondition(width >= 1 && width <= Int(Int32.max) / 8 && channels >= 0)
    history.withMemoryRebound(to: UnsafePointer<Float>.self, capacity: width) {
      table.pointee.convolve_silu(taps, $0, width, out, channels)
    }
  }

  /// One step of the gated delta rule for one value head: `S *= exp(gate)`,
  /// `u = beta * (v - S^T k)`, `S += k u^T`, `out = S^T q / sqrt(dimension)`.
  ///
  /// - Parameters:
  ///   - state: `S`, `[dimension, dimension]`, key index first, so that value indices are
  ///     contiguous; updated in place.
  ///   - q: `[dimension]`, normalised by the caller.
  ///   - k: `[dimension]`, normalised by the caller.
  ///   - v: `[dimension]`
  ///   - gate: The logarithm of the decay, at most 0.
  ///   - beta: Strength of the update, 0...1.
  ///   - out: `[dimension]`; none of the inputs.
  ///   - dimension: Of keys and values.
  public func deltaStep(
    state: UnsafeMutablePointer<Float>, q: UnsafePointer<Float>, k: UnsafePointer<Float>,
    v: UnsafePointer<Float>, gate: Float, beta: Float,
    into out: UnsafeMutablePointer<Float>, dimension: Int
  ) {
    precondition(dimension >= 0)
    table.pointee.delta_step(state, q, k, v, gate, beta, out, dimension)
  }
}
