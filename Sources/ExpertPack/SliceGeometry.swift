public import Tensors

/// How one expert is cut into slices: the record layout of a packed layer.
///
/// With C compute slices, slice s holds rows `s*I/C ..< (s+1)*I/C` of gate and up and the same
/// columns of down, so it gives a partial output without the others. Compute slices are padded to
/// 4/C pages, so that a record is always four equal page-aligned reads.
public struct SliceGeometry: Hashable, Sendable {
  /// One matrix of an expert within a compute slice.
  public struct Component: Hashable, Sendable {
    /// Gate, up or down; fused tensors give a gate and an up.
    public let role: ExpertRole
    /// Element type, that of the source tensor.
    public let type: TensorType
    /// Rows of this matrix in one slice.
    public let rows: Int
    /// Columns of this matrix in one slice.
    public let columns: Int
    /// Bytes from the start of the slice.
    public let offset: Int

    /// Bytes of one row within a slice.
    public var rowBytes: Int { type.rowBytes(columns: columns) }
    /// Bytes of this matrix in one slice.
    public var byteCount: Int { rows * rowBytes }
  }

  /// Slices that can be computed alone: 4, 2 or 1.
  public let computeSlices: Int
  /// Gate (unless the model has none), up, down, in the order of the record.
  public let components: [Component]
  /// Bytes of a compute slice that carry weights.
  public let sliceBytes: Int
  /// Bytes of a compute slice with its padding, a multiple of 4/C pages.
  public let sliceStride: Int

  /// Bytes of one expert's record.
  public var recordStride: Int { sliceStride * computeSlices }
  /// Bytes of one of the four reads of a record.
  public var readBytes: Int { recordStride / PackLimits.splits }

  /// Cuts an expert whose gate and up are [`intermediate`, `hidden`] and whose down is
  /// [`output`, `intermediate`]; `gate`, `up` and `down` are their types, `gate` nil for models
  /// without one.
  init(
    intermediate: Int, hidden: Int, output: Int, gate: TensorType?, up: TensorType,
    down: TensorType
  ) {
    computeSlices = Self.computeSlices(intermediate: intermediate, block: down.blockSize)
    let rows = intermediate / computeSlices
    var components: [Component] = []
    var offset = 0
    func append(_ role: ExpertRole, _ type: TensorType, rows: Int, columns: Int) {
      let component = Component(
        role: role, type: type, rows: rows, columns: columns, offset: offset)
      components.append(component)
      offset += component.byteCount
    }
    if let gate { append(.gate, gate, rows: rows, columns: hidden) }
    append(.up, up, rows: rows, columns: hidden)
    append(.down, down, rows: output, columns: rows)
    self.components = components
    sliceBytes = offset
    let unit = PackLimits.splits / computeSlices * PackLimits.pageBytes
    sliceStride = (offset + unit - 1) / unit * unit
  }

  /// The largest of 4, 2, 1 that cuts `intermediate` columns of down between blocks.
  static func computeSlices(intermediate: Int, block: Int) -> Int {
    [4, 2].first { intermediate % ($0 * block) == 0 } ?? 1
  }
}
