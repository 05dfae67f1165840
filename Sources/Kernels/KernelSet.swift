internal import CKernels
public import Tensors

/// The numeric kernels of one instruction set.
///
/// Pointers go in and out: the caller owns all memory, which must hold what the parameter says, in
/// float32 unless a ``MatrixView`` says otherwise, and must not change during the call. Nothing is
/// allocated and nothing kept, so one set may be used from any number of threads. Shapes that
/// contradict each other trap.
public struct KernelSet: @unchecked Sendable {
  // Sendable: the table is a constant of the program.
  let table: UnsafePointer<ck_kernels>

  /// The instruction set that the kernels use.
  public let instructionSet: InstructionSet

  /// The kernels of `instructionSet`. Traps when it is not available here.
  public init(_ instructionSet: InstructionSet) {
    self.instructionSet = instructionSet
    switch instructionSet {
    case .scalar:
      table = ck_scalar_kernels()
    case .avx2:
      guard let kernels = ck_avx2_kernels() else {
        preconditionFailure("this CPU has no avx2; ask InstructionSet.isAvailable first")
      }
      table = kernels
    }
  }

  /// Whether matrices of `type` can be multiplied and dequantised.
  public func supports(_ type: TensorType) -> Bool { ck_supports(type.id) }

  /// Matrix product with float32 activations, which are not quantised:
  /// `out[t * outStride + r] = sum over c of w[r, c] * x[t * xStride + c]`.
  ///
  /// The bits of one element of `out` depend on its row and its token alone, not on how many
  /// tokens, rows or threads the call has.
  ///
  /// - Parameters:
  ///   - w: `[rows, columns]`, of a type that ``supports(_:)`` accepts. No byte behind the last
  ///     block of a row is read.
  ///   - x: `[tokens, columns]`
  ///   - xStride: Floats from one row of `x` to the next; with two tokens or more, at least
  ///     `columns`.
  ///   - tokens: Rows of `x` and of `out`; 0 does nothing.
  ///   - out: `[tokens, rows]`; overlaps neither `w` nor `x`.
  ///   - outStride: Floats from one row of `out` to the next; with two tokens or more, at least
  ///     `rows`.
  public func multiply(
    _ w: MatrixView, _ x: UnsafePointer<Float>, xStride: Int, tokens: Int,
    into out: UnsafeMutablePointer<Float>, outStride: Int
  ) {
    checkProduct(w, xStride: xStride, tokens: tokens, outStride: outStride)
    table.pointee.multiply(
      ck_matrix(w), x, xStride, tokens, out, outStride)
  }

  /// The same product with its rows spread over `pool`; the same bits as without.
  ///
  /// A call from within the pool's own work runs on the calling thread alone.
  public func multiply(
    _ w: MatrixView, _ x: UnsafePointer<Float>, xStride: Int, tokens: Int,
    into out: UnsafeMutablePointer<Float>, outStride: Int, pool: ComputePool
  ) {
    checkProduct(w, xStride: xStride, tokens: tokens, outStride: outStride)
    guard tokens > 0 else { return }
    // A chunk of 64 Ki multiply-adds takes about 10 us, ten times the cost of handing it out.
    let grain = max(4, (64 << 10) / max(1, w.columns * tokens))
    pool.forEach(w.rows, grain: grain) { range in
      table.pointee.multiply(
        ck_matrix(w.rows(range)), x, xStride, tokens, out + range.lowerBound, outStride)
    }
  }

  /// Writes row `row` of `w` as float32 to `out`: `[columns]`.
  ///
  /// Exact, and the same for all instruction sets.
  public func dequantize(_ w: MatrixView, row: Int, into out: UnsafeMutablePointer<Float>) {
    precondition(supports(w.type), "no kernel for \(w.type)")
    precondition(row >= 0 && row < w.rows, "row \(row) of a matrix of \(w.rows) rows")
    ck_dequantize_row(w.type.id, w.base + row * w.rowStride, w.columns, out)
  }

  private func checkProduct(_ w: MatrixView, xStride: Int, tokens: Int, outStride: Int) {
    precondition(supports(w.type), "no kernel for \(w.type)")
    precondition(tokens >= 0, "\(tokens) tokens")
    precondition(tokens <= 1 || xStride >= w.columns, "stride \(xStride) < \(w.columns) columns")
    precondition(tokens <= 1 || outStride >= w.rows, "stride \(outStride) < \(w.rows) rows")
  }
}

extension ck_matrix {
  fileprivate init(_ w: MatrixView) {
    self.init(
      type: w.type.id, base: w.base, stride_bytes: w.rowStride, rows: w.rows, columns: w.columns)
  }
}
