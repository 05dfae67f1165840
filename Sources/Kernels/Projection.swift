public import Tensors

/// One of several products of the same input: `out[t * weights.rows + r] = weights[r] x[t]`.
///
/// Owns nothing; the memory must live as long as it is used.
public struct Projection {
  /// `[rows, columns]`
  public let weights: MatrixView
  /// `[tokens, rows]`, tightly packed.
  public let out: UnsafeMutablePointer<Float>

  /// The product of `weights` into `out`.
  public init(_ weights: MatrixView, into out: UnsafeMutablePointer<Float>) {
    self.weights = weights
    self.out = out
  }
}

extension KernelSet {
  /// Computes all of `projections` of `x` as one job of `pool`; the same bits as one by one.
  ///
  /// - Parameters:
  ///   - projections: Their weights have the same number of columns; each has an `out` of its own.
  ///   - x: `[tokens, columns]`, as in ``multiply(_:_:tokens:into:outStride:)``.
  ///   - tokens: Rows of `x` and of the results; 0 does nothing.
  ///   - pool: Threads that share the rows of all matrices.
  public func multiply(
    _ projections: [Projection], _ x: Activations, tokens: Int, pool: ComputePool
  ) {
    guard tokens > 0, let columns = projections.first?.weights.columns else { return }
    let block = Self.rowBlock(tokens: tokens)
    var blocks = 0
    for projection in projections {
      precondition(projection.weights.columns == columns, "one input has one width")
      blocks += Self.count(of: block, in: projection)
    }
    pool.forEach(blocks, grain: Self.grain(columns: columns, tokens: tokens)) { range in
      var first = 0
      for projection in projections {
        let count = Self.count(of: block, in: projection)
        let own = range.clamped(to: first..<first + count)
        if !own.isEmpty {
          let rows = projection.weights.rows
          let start = (own.lowerBound - first) * block
          let end = min(rows, (own.upperBound - first) * block)
          multiply(
            projection.weights.rows(start..<end), x, tokens: tokens,
            into: projection.out + start, outStride: rows)
        }
        first += count
      }
    }
  }

  private static func count(of block: Int, in projection: Projection) -> Int {
    (projection.weights.rows + block - 1) / block
  }

  /// Blocks of rows that are worth handing out: 64 Ki multiply-adds take some microseconds, ten times
  /// the cost of handing them out.
  static func grain(columns: Int, tokens: Int) -> Int {
    max(1, (64 << 10) / max(1, columns * tokens * rowBlock(tokens: tokens)))
  }
}
