internal import CKernels
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The instructions that a ``KernelSet`` may use. One pack, prompt and seed give the same tokens on
/// every machine with the same instruction set; two sets differ in rounding.
public enum InstructionSet: String, CaseIterable, Sendable {
  /// Plain C with sums in double precision: the definition of every kernel, and slow.
  case scalar
  /// x86-64 with AVX2, FMA and F16C (Haswell and later, Zen). Products of quantised weights take
  /// activations quantised to 16 bits, 32 to a scale, as those of all sets that follow do.
  case avx2
  /// x86-64 with AVX-512 VNNI, VBMI and GFNI (Ice Lake and later, Zen 4 and later).
  case avx512
  /// AVX-512, and products of many tokens in AMX's tiles (Sapphire Rapids and later), to the same bits but for
  /// products with BF16 weights, which are as good.
  case amx
  /// AArch64, with byte products (dotprod) and products of byte matrices (i8mm) where the CPU has
  /// them, to the same bits.
  case neon

  /// Name of the environment variable that forces an instruction set.
  public static let environmentVariable = "MOERUN_ISA"

  /// Whether this CPU and this build have it.
  public var isAvailable: Bool {
    switch self {
    case .scalar: true
    case .avx2: ck_avx2_kernels() != nil
    case .avx512: ck_avx512_kernels() != nil
    case .amx: ck_amx_kernels() != nil
    case .neon: ck_neon_kernels() != nil
    }
  }

  /// The best set that this CPU has, or the one that `MOERUN_ISA` names.
  ///
  /// Throws ``KernelsError`` when the variable names no set, or one that cannot run here.
  public static func detected() throws(KernelsError) -> InstructionSet {
    let requested = getenv(environmentVariable).map { String(cString: $0) }
    return try choose(requested: requested, available: allCases.filter(\.isAvailable))
  }

  /// The last of `available`, or the one that `requested` names. An empty request is none.
  package static func choose(
    requested: String?, available: [InstructionSet]
  ) throws(KernelsError) -> InstructionSet {
    guard let requested, !requested.isEmpty else { return available.last ?? .scalar }
    let choices = available.map(\.rawValue).joined(separator: ", ")
    guard let known = InstructionSet(rawValue: requested.lowercased()) else {
      throw KernelsError(
        .unknownInstructionSet,
        message: "\(environmentVariable)=\(requested): no such instruction set; "
          + "set it to one of \(choices), or unset it for the best one")
    }
    guard available.contains(known) else {
      throw KernelsError(
        .unavailableInstructionSet,
        message: "\(environmentVariable)=\(requested): this CPU or this build cannot run it; "
          + "set it to one of \(choices), or unset it for the best one")
    }
    return known
  }
}
