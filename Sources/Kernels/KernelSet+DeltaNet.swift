internal import CKernels

/// The gated delta net: its convolution, a token at a time, and its delta rule.
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

  /// Floats of the state of one value head; all zero before the first token. A multiple of 16.
  ///
  /// Besides `S`, `[dimension, dimension]`, keys and updates of tokens that wait to be added to it as one
  /// product of matrices.
  public static func deltaStateFloats(dimension: Int) -> Int {
    precondition(dimension >= 0 && dimension < 1 << 24, "\(dimension) key indices")
    return ck_delta_state_floats(dimension)
  }

  /// Writes `S` of a state, for those who want to look at it.
  ///
  /// - Parameters:
  ///   - state: ``deltaStateFloats(dimension:)`` floats.
  ///   - dimension: Of keys and values.
  ///   - out: `[key index, value index]`, `dimension` squared floats; no part of `state`.
  public static func deltaAssociations(
    state: UnsafePointer<Float>, dimension: Int, into out: UnsafeMutablePointer<Float>
  ) {
    precondition(dimension >= 0)
    ck_delta_associations(state, dimension, out)
  }

  /// Steps of the gated delta rule for one value head, a token each: `S *= exp(gate)`,
  /// `u = beta * (v - S^T k)`, `S += k u^T`, `out = S^T q / sqrt(dimension)`.
  ///
  /// The same bits as one call a token.
  ///
  /// - Parameters:
  ///   - state: ``deltaStateFloats(dimension:)`` floats that hold `S`, updated in place. A sequence stays
  ///     with one set of kernels.
  ///   - tokens: What they bring, and where the results go; none of it overlaps the state.
  ///   - dimension: Of keys and values.
  public func deltaSteps(
    state: UnsafeMutablePointer<Float>, _ tokens: DeltaTokens, dimension: Int
  ) {
    precondition(dimension >= 0 && tokens.count >= 0)
    table.pointee.delta_steps(
      state,
      ck_delta_tokens(
        count: tokens.count, q: tokens.q, k: tokens.k, v: tokens.v, stride: tokens.stride,
        gate: tokens.gate, beta: tokens.beta, gate_stride: tokens.gateStride, out: tokens.out,
        out_stride: tokens.outStride), dimension)
  }
}

/// What tokens bring to a value head of a gated delta net. Owns nothing.
public struct DeltaTokens {
  /// Tokens.
  public var count: Int
  /// `[dimension]` of the first token, normalised by the caller; `stride` floats on for the next.
  public var q: UnsafePointer<Float>
  /// As ``q``.
  public var k: UnsafePointer<Float>
  /// `[dimension]`, `stride` floats from token to token.
  public var v: UnsafePointer<Float>
  /// Floats from token to token of queries, keys and values.
  public var stride: Int
  /// The logarithm of the decay, at most 0; `gateStride` floats from token to token.
  public var gate: UnsafePointer<Float>
  /// Strength of the update, 0...1; `gateStride` floats from token to token.
  public var beta: UnsafePointer<Float>
  /// Floats from token to token of gates and strengths.
  public var gateStride: Int
  /// `[dimension]`, `outStride` floats from token to token.
  public var out: UnsafeMutablePointer<Float>
  /// Floats from token to token of the results.
  public var outStride: Int

  /// Tokens with all their places.
  public init(
    count: Int, q: UnsafePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>,
    stride: Int, gate: UnsafePointer<Float>, beta: UnsafePointer<Float>, gateStride: Int,
    out: UnsafeMutablePointer<Float>, outStride: Int
  ) {
    self.count = count
    (self.q, self.k, self.v, self.stride) = (q, k, v, stride)
    (self.gate, self.beta, self.gateStride) = (gate, beta, gateStride)
    (self.out, self.outStride) = (out, outStride)
  }
}
