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
    let kernels =
      switch instructionSet {
      case .scalar: ck_scalar_kernels()
      case .avx2: ck_avx2_kernels()
      case .avx512: ck_avx512_kernels()
      case .amx: ck_amx_kernels()
      case .neon: ck_neon_kernels()
      }
    guard let kernels else {
      preconditionFailure("this CPU has no \(instructionSet); ask InstructionSet.isAvailable first")
    }
    table = kernels
  }

  /// Whether matrices of `type` can be multiplied and dequantised.
  public func supports(_ type: TensorType) -> Bool { ck_supports(type.id) }

  /// Writes row `row` of `w` as float32 to `out`: `[columns]`.
  ///
  /// Exact, and the same for all instruction sets.
  public func dequantize(_ w: MatrixView, row: Int, into out: UnsafeMutablePointer<Float>) {
    precondition(supports(w.type), "no kernel for \(w.type)")
    precondition(row >= 0 && row < w.rows, "row \(row) of a matrix of \(w.rows) rows")
    ck_dequantize_row(w.type.id, w.base + row * w.rowStride, w.columns, out)
  }
}
