internal import ExpertPack
public import Tensors

/// The matrices of one compute slice of an expert, as they lie in a slot.
///
/// `y += down * (silu(gate * x) * (up * x))` needs this slice alone. The views point into the
/// store's memory and hold for as long as the body that was given them runs.
public struct ExpertSlice: Sendable {
  /// Gate rows of the slice `[I / slices, H]`; nil for experts without a gate.
  public let gate: MatrixView?
  /// Up rows of the slice `[I / slices, H]`.
  public let up: MatrixView
  /// Down columns of the slice `[H, I / slices]`.
  public let down: MatrixView
  /// Bit per read that has to land before the slice may be used.
  let reads: UInt64

  /// `alsoNeeded`: reads to wait for that the slice itself does not lie in.
  init(
    _ slice: ExpertPlacement.Slice, slot: UnsafeMutableRawPointer, alsoNeeded: UInt64 = 0
  ) {
    func view(_ component: ExpertPlacement.Component) -> MatrixView {
      MatrixView(
        type: component.type, rows: component.rows, columns: component.columns,
        rowStride: component.rowStride, base: UnsafeRawPointer(slot + component.slotOffset))
    }
    gate = slice.gate.map(view)
    up = view(slice.up)
    down = view(slice.down)
    reads = slice.reads.reduce(alsoNeeded) { $0 | 1 << UInt64($1) }
  }
}
