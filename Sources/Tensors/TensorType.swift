/// An element type of a ggml tensor: how many elements a block holds and how many bytes it takes.
///
/// Ids, names and sizes are those of `enum ggml_type` and its type traits. Ids that ggml has
/// removed are known by name only (``removedName(id:)``) so that an error can say what a file asks for.
public struct TensorType: Hashable, Sendable {
  /// ggml's number for the type, as stored in a GGUF tensor info.
  public let id: UInt32
  /// ggml's name in upper case, as in `IQ3_XXS`.
  public let name: String
  /// Elements a block.
  public let blockSize: Int
  /// Bytes a block.
  public let bytesPerBlock: Int

  private init(_ id: UInt32, _ name: String, block: Int, bytes: Int) {
    self.id = id
    self.name = name
    self.blockSize = block
    self.bytesPerBlock = bytes
  }

  /// The type with ggml's number `id`, or nil when no current type has it.
  public init?(id: UInt32) {
    guard let type = Self.byID[id] else { return nil }
    self = type
  }

  /// The type named `name`, compared without regard to case, or nil.
  public init?(name: String) {
    let upper = name.uppercased()
    guard let type = Self.all.first(where: { $0.name == upper }) else { return nil }
    self = type
  }

  /// The name that `id` had before ggml removed it, or nil when it was never removed.
  public static func removedName(id: UInt32) -> String? { removed[id] }

  /// Bytes of `elements` elements that form whole blocks, or nil when they do not or when the
  /// size does not fit 64 bits.
  public func byteCount(elements: UInt64) -> UInt64? {
    let (blocks, rest) = elements.quotientAndRemainder(dividingBy: UInt64(blockSize))
    guard rest == 0 else { return nil }
    let (bytes, overflow) = blocks.multipliedReportingOverflow(by: UInt64(bytesPerBlock))
    return overflow ? nil : bytes
  }

  /// Bytes of one row of `columns` elements. Traps when `columns` is not a whole number of blocks.
  public func rowBytes(columns: Int) -> Int {
    precondition(columns >= 0 && columns % blockSize == 0, "\(columns) is not in blocks of \(name)")
    return columns / blockSize * bytesPerBlock
  }

  /// IEEE 754 single precision.
  public static let f32 = TensorType(0, "F32", block: 1, bytes: 4)
  /// IEEE 754 half precision.
  public static let f16 = TensorType(1, "F16", block: 1, bytes: 2)
  /// Blocks of ggml's `block_q4_0`.
  public static let q4_0 = TensorType(2, "Q4_0", block: 32, bytes: 18)
  /// Blocks of ggml's `block_q4_1`.
  public static let q4_1 = TensorType(3, "Q4_1", block: 32, bytes: 20)
  /// Blocks of ggml's `block_q5_0`.
  public static let q5_0 = TensorType(6, "Q5_0", block: 32, bytes: 22)
  /// Blocks of ggml's `block_q5_1`.
  public static let q5_1 = TensorType(7, "Q5_1", block: 32, bytes: 24)
  /// Blocks of ggml's `block_q8_0`.
  public static let q8_0 = TensorType(8, "Q8_0", block: 32, bytes: 34)
  /// Blocks of ggml's `block_q8_1`.
  public static let q8_1 = TensorType(9, "Q8_1", block: 32, bytes: 40)
  /// Blocks of ggml's `block_q2_K`.
  public static let q2_K = TensorType(10, "Q2_K", block: 256, bytes: 84)
  /// Blocks of ggml's `block_q3_K`.
  public static let q3_K = TensorType(11, "Q3_K", block: 256, bytes: 110)
  /// Blocks of ggml's `block_q4_K`.
  public static let q4_K = TensorType(12, "Q4_K", block: 256, bytes: 144)
  /// Blocks of ggml's `block_q5_K`.
  public static let q5_K = TensorType(13, "Q5_K", block: 256, bytes: 176)
  /// Blocks of ggml's `block_q6_K`.
  public static let q6_K = TensorType(14, "Q6_K", block: 256, bytes: 210)
  /// Blocks of ggml's `block_q8_K`.
  public static let q8_K = TensorType(15, "Q8_K", block: 256, bytes: 292)
  /// Blocks of ggml's `block_iq2_xxs`.
  public static let iq2_XXS = TensorType(16, "IQ2_XXS", block: 256, bytes: 66)
  /// Blocks of ggml's `block_iq2_xs`.
  public static let iq2_XS = TensorType(17, "IQ2_XS", block: 256, bytes: 74)
  /// Blocks of ggml's `block_iq3_xxs`.
  public static let iq3_XXS = TensorType(18, "IQ3_XXS", block: 256, bytes: 98)
  /// Blocks of ggml's `block_iq1_s`.
  public static let iq1_S = TensorType(19, "IQ1_S", block: 256, bytes: 50)
  /// Blocks of ggml's `block_iq4_nl`.
  public static let iq4_NL = TensorType(20, "IQ4_NL", block: 32, bytes: 18)
  /// Blocks of ggml's `block_iq3_s`.
  public static let iq3_S = TensorType(21, "IQ3_S", block: 256, bytes: 110)
  /// Blocks of ggml's `block_iq2_s`.
  public static let iq2_S = TensorType(22, "IQ2_S", block: 256, bytes: 82)
  /// Blocks of ggml's `block_iq4_xs`.
  public static let iq4_XS = TensorType(23, "IQ4_XS", block: 256, bytes: 136)
  /// Signed 8-bit integer.
  public static let i8 = TensorType(24, "I8", block: 1, bytes: 1)
  /// Signed 16-bit integer.
  public static let i16 = TensorType(25, "I16", block: 1, bytes: 2)
  /// Signed 32-bit integer.
  public static let i32 = TensorType(26, "I32", block: 1, bytes: 4)
  /// Signed 64-bit integer.
  public static let i64 = TensorType(27, "I64", block: 1, bytes: 8)
  /// IEEE 754 double precision.
  public static let f64 = TensorType(28, "F64", block: 1, bytes: 8)
  /// Blocks of ggml's `block_iq1_m`.
  public static let iq1_M = TensorType(29, "IQ1_M", block: 256, bytes: 56)
  /// The upper half of a single-precision number.
  public static let bf16 = TensorType(30, "BF16", block: 1, bytes: 2)
  /// Blocks of ggml's `block_tq1_0`.
  public static let tq1_0 = TensorType(34, "TQ1_0", block: 256, bytes: 54)
  /// Blocks of ggml's `block_tq2_0`.
  public static let tq2_0 = TensorType(35, "TQ2_0", block: 256, bytes: 66)
  /// Blocks of ggml's `block_mxfp4`.
  public static let mxfp4 = TensorType(39, "MXFP4", block: 32, bytes: 17)
  /// Blocks of ggml's `block_nvfp4`.
  public static let nvfp4 = TensorType(40, "NVFP4", block: 64, bytes: 36)
  /// Blocks of ggml's `block_q1_0`.
  public static let q1_0 = TensorType(41, "Q1_0", block: 128, bytes: 18)
  /// Blocks of ggml's `block_q2_0`.
  public static let q2_0 = TensorType(42, "Q2_0", block: 64, bytes: 18)

  /// Every current type, by id.
  public static let all: [TensorType] = [
    f32, f16, q4_0, q4_1, q5_0, q5_1, q8_0, q8_1, q2_K, q3_K, q4_K, q5_K, q6_K, q8_K, iq2_XXS,
    iq2_XS, iq3_XXS, iq1_S, iq4_NL, iq3_S, iq2_S, iq4_XS, i8, i16, i32, i64, f64, iq1_M, bf16,
    tq1_0, tq2_0, mxfp4, nvfp4, q1_0, q2_0,
  ]

  private static let byID = Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0) })

  private static let removed: [UInt32: String] = [
    4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8",
  ]
}

extension TensorType: CustomStringConvertible {
  /// ggml's name.
  public var description: String { name }
}
