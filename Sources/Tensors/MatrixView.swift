/// A matrix in ggml block format somewhere in memory: `rows` rows of `columns` elements.
///
/// A view owns nothing; whoever made it keeps the bytes alive and unchanged while it is in use.
/// A row is contiguous; rows lie `rowStride` bytes apart, so a view can be a range of columns of a
/// wider matrix.
@safe public struct MatrixView: @unchecked Sendable {
  // Sendable: the bytes behind a view are read-only for as long as anybody holds one.

  /// Element type of all rows.
  public let type: TensorType
  /// Rows (output dimension of a matrix-vector product).
  public let rows: Int
  /// Elements a row, a whole number of blocks (input dimension).
  public let columns: Int
  /// Bytes from the start of one row to the start of the next.
  public let rowStride: Int
  /// First byte of row 0.
  public let base: UnsafeRawPointer

  /// A view of `rows` rows of `columns` elements at `base`, `rowStride` bytes apart
  /// (tightly packed by default). Traps when a row is not a whole number of blocks.
  public init(
    type: TensorType, rows: Int, columns: Int, rowStride: Int? = nil, base: UnsafeRawPointer
  ) {
    let rowBytes = type.rowBytes(columns: columns)
    precondition(rows >= 0 && (rowStride ?? rowBytes) >= rowBytes)
    self.type = type
    self.rows = rows
    self.columns = columns
    self.rowStride = rowStride ?? rowBytes
    unsafe self.base = base
  }

  /// Rows `range` of the same matrix.
  public func rows(_ range: Range<Int>) -> MatrixView {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows)
    return unsafe MatrixView(
      type: type, rows: range.count, columns: columns, rowStride: rowStride,
      base: base + range.lowerBound * rowStride)
  }

  /// Columns `range` of the same matrix. Traps when the range cuts a block.
  public func columns(_ range: Range<Int>) -> MatrixView {
    precondition(range.lowerBound >= 0 && range.upperBound <= columns)
    return unsafe MatrixView(
      type: type, rows: rows, columns: range.count, rowStride: rowStride,
      base: base + type.rowBytes(columns: range.lowerBound))
  }
}
