internal import CKernels
public import Tensors

/// Matrix products. The bits of one element of a result depend on its row and its token alone, not
/// on how many tokens, rows or threads the call has.
extension KernelSet {
  /// Bytes that ``quantize(_:stride:columns:tokens:precision:into:)`` writes for a token of `columns`
  /// activations; 0 when all products of this set take floats.
  public func quantizedByteCount(columns: Int) -> Int {
    precondition(columns >= 0, "\(columns) columns")
    return table.pointee.quantize == nil ? 0 : ck_quantized_bytes((columns + 31) / 32 * 32)
  }

  /// Whether products with weights of `type` and `columns` columns take quantised activations.
  public func takesQuantized(_ type: TensorType, columns: Int) -> Bool {
    table.pointee.quantize != nil && columns.isMultiple(of: 32) && ck_takes_quantized(type.id)
  }

  /// Quantises activations to 16 bits, whose upper half is the 8-bit form, with a scale for 32
  /// neighbours, once for all the products that they enter.
  ///
  /// Does nothing where ``quantizedByteCount(columns:)`` is 0 or `columns` is not a multiple of 32.
  /// - Parameters:
  ///   - x: `[tokens, columns]`, `stride` floats from row to row.
  ///   - stride: At least `columns` with two tokens or more.
  ///   - columns: Of a row.
  ///   - tokens: Rows; 0 does nothing.
  ///   - precision: That of the products they enter.
  ///   - out: `tokens` times ``quantizedByteCount(columns:)`` bytes, aligned to 4.
  public func quantize(
    _ x: UnsafePointer<Float>, stride: Int, columns: Int, tokens: Int,
    precision: Activations.Precision, into out: UnsafeMutableRawPointer
  ) {
    precondition(tokens >= 0 && (tokens <= 1 || stride >= columns), "stride \(stride)")
    guard let quantize = table.pointee.quantize, columns.isMultiple(of: 32) else { return }
    quantize(x, stride, columns, tokens, precision == .bits16, out)
  }

  /// `out[t * outStride + r] = sum over c of w[r, c] * x[t, c]`.
  ///
  /// - Parameters:
  ///   - w: `[rows, columns]`, of a type that ``supports(_:)`` accepts. No byte behind the last
  ///     block of a row is read.
  ///   - x: `[tokens, columns]`. Where ``takesQuantized(_:columns:)`` says so and it has a quantised
  ///     form, that is used, else the floats.
  ///   - tokens: Rows of `x` and of `out`; 0 does nothing.
  ///   - out: `[tokens, rows]`; overlaps neither `w` nor `x`.
  ///   - outStride: Floats from one row of `out` to the next; with two tokens or more, at least
  ///     `rows`.
  public func multiply(
    _ w: MatrixView, _ x: Activations, tokens: Int, into out: UnsafeMutablePointer<Float>,
    outStride: Int
  ) {
    check(w, x, tokens: tokens, outStride: outStride)
    run(w, x, tokens: tokens, into: out, outStride: outStride)
  }

  /// The same product with its rows spread over `pool`; the same bits as without.
  ///
  /// A call from within the pool's own work runs on the calling thread alone.
  public func multiply(
    _ w: MatrixView, _ x: Activations, tokens: Int, into out: UnsafeMutablePointer<Float>,
    outStride: Int, pool: ComputePool
  ) {
    check(w, x, tokens: tokens, outStride: outStride)
    guard tokens > 0 else { return }
    let block = Self.rowBlock(tokens: tokens)
    let blocks = (w.rows + block - 1) / block
    pool.forEach(blocks, grain: Self.grain(columns: w.columns, tokens: tokens)) { range in
      let rows = range.lowerBound * block..<min(w.rows, range.upperBound * block)
      run(w.rows(rows), x, tokens: tokens, into: out + rows.lowerBound, outStride: outStride)
    }
  }

  /// Rows that are best multiplied together by `tokens` tokens, what the widest kernel works on at once: work is
  /// divided at multiples of it. With one token shares of 32 come out less even, which takes 4 % of the speed.
  public static func rowBlock(tokens: Int) -> Int { tokens == 1 ? 16 : 32 }

  private func run(
    _ w: MatrixView, _ x: Activations, tokens: Int, into out: UnsafeMutablePointer<Float>,
    outStride: Int
  ) {
    guard tokens > 0 else { return }
    let matrix = ck_matrix(
      type: w.type.id, base: w.base, stride_bytes: w.rowStride, rows: w.rows, columns: w.columns)
    if let quantized = x.quantized, let multiply = table.pointee.multiply_quantized,
      takesQuantized(w.type, columns: w.columns)
    {
      multiply(matrix, quantized, x.rows, tokens, x.precision == .bits16, out, outStride)
    } else {
      table.pointee.multiply(matrix, x.values, x.stride, tokens, out, outStride)
    }
  }

  private func check(_ w: MatrixView, _ x: Activations, tokens: Int, outStride: Int) {
    precondition(supports(w.type), "no kernel for \(w.type)")
    precondition(tokens >= 0, "\(tokens) tokens")
    precondition(tokens <= 1 || x.stride >= w.columns, "stride \(x.stride) < \(w.columns) columns")
    precondition(tokens <= 1 || outStride >= w.rows, "stride \(outStride) < \(w.rows) rows")
  }
}
