internal import Recipes
internal import Tensors

/// Random blocks of a ggml type: random codes under scales that give the weights a wanted size.
///
/// Every bit pattern of the codes and of the small per-group scales is valid, so bytes come from
/// the generator as they are and only the block's own scale is set. Its lowest bits stay random: no
/// two blocks of a tensor need have the same.
struct SyntheticBlocks: Sendable {
  /// What is done to the random bytes of a block.
  private enum Form: Sendable {
    /// float32: offset and width of a uniform distribution.
    case single(Float, Float)
    /// float16 or bfloat16: largest magnitude of a uniform distribution around 0.
    case half(Float)
    case brain(Float)
    /// A float16 scale at a place in the block, and perhaps a float16 minimum at another.
    case scaled(Int, UInt16, minimum: (place: Int, bits: UInt16)?)
    /// An E8M0 exponent at the start of the block.
    case exponent(UInt8)
  }

  /// Bytes of a block.
  let blockBytes: Int
  /// Bytes of the pieces that ``fill(_:at:random:)`` makes: whole blocks, whole words of the
  /// generator, and small enough to stay in the first cache while scales are set.
  let stretchBytes: Int
  private let form: Form

  /// Of a type with a float16 scale: where the scale is; where the minimum is and how many times
  /// the scale it must be for a mean of 0; root mean square of random weights at scale 1, measured
  /// over millions of weights with an independent dequantizer.
  private struct Layout {
    let scale: Int
    var minimum: (place: Int, ratio: Double)?
    let magnitude: Double
  }

  /// The `block_*` structs of ggml-common.h.
  private static let layouts: [TensorType: Layout] = [
    .q4_0: Layout(scale: 0, magnitude: 4.64),
    .q4_1: Layout(scale: 0, minimum: (2, -7.5), magnitude: 4.61),
    .q5_0: Layout(scale: 0, magnitude: 9.24),
    .q5_1: Layout(scale: 0, minimum: (2, -15.5), magnitude: 9.23),
    .q8_0: Layout(scale: 0, magnitude: 73.9),
    .q2_K: Layout(scale: 80, minimum: (82, 1.5), magnitude: 13.9),
    .q3_K: Layout(scale: 108, magnitude: 43.4),
    .q4_K: Layout(scale: 0, minimum: (2, 7.5), magnitude: 259),
    .q5_K: Layout(scale: 0, minimum: (2, 15.5), magnitude: 528),
    .q6_K: Layout(scale: 208, magnitude: 1366),
    .iq2_XXS: Layout(scale: 0, magnitude: 53.4),
    .iq2_XS: Layout(scale: 0, magnitude: 55.9),
    .iq2_S: Layout(scale: 0, magnitude: 56.4),
    .iq3_XXS: Layout(scale: 0, magnitude: 142.5),
    .iq3_S: Layout(scale: 0, magnitude: 140.6),
    .iq4_NL: Layout(scale: 0, magnitude: 67.4),
    .iq4_XS: Layout(scale: 0, magnitude: 1246),
  ]

  /// Root mean square of the sixteen codes of MXFP4.
  private static let fp4Magnitude = 2.926

  /// Blocks of `type` with weights of `distribution`. Traps for a type not in `ModelTensor.types` and
  /// for bounds of any type but F32; a recipe has been checked for both.
  init(type: TensorType, distribution: WeightDistribution) {
    blockBytes = type.bytesPerBlock
    // A multiple of 8 blocks is a multiple of 8 bytes whatever the block.
    stretchBytes = blockBytes * ((16384 / blockBytes + 8) & ~7)
    let deviation: Double
    switch distribution {
    case .uniform(let lower, let upper):
      precondition(type == .f32, "bounds are for F32")
      form = .single(Float(lower), Float(upper - lower))
      return
    case .deviation(let value): deviation = value
    }
    // A uniform distribution from -b to b has the standard deviation b / sqrt(3).
    let bound = Float(deviation * 3.0.squareRoot())
    switch type {
    case .f32: form = .single(-bound, 2 * bound)
    case .f16: form = .half(bound)
    case .bf16: form = .brain(bound)
    case .mxfp4:
      let exponent = Float(deviation / Self.fp4Magnitude).exponent
      form = .exponent(UInt8(clamping: Int(exponent) + 127))
    default:
      guard let layout = Self.layouts[type] else {
        preconditionFailure("no random blocks of \(type)")
      }
      let scale = deviation / layout.magnitude
      form = .scaled(
        layout.scale, max(1, Self.halfBits(Float(scale))),
        minimum: layout.minimum.map { ($0.place, Self.halfBits(Float(scale * $0.ratio))) })
    }
  }

  /// Fills `target`, whole stretches, with the blocks at byte `offset` of the tensor, which is a
  /// multiple of ``stretchBytes``.
  func fill(_ target: UnsafeMutableRawBufferPointer, at offset: UInt64, random: RandomWords) {
    for start in stride(from: 0, to: target.count, by: stretchBytes) {
      let stretch = target.part(start..<start + stretchBytes)
      random.fill(stretch, firstWord: (offset + UInt64(start)) / 8)
      shape(stretch)
    }
  }

  /// Turns random bytes into blocks.
  private func shape(_ bytes: UnsafeMutableRawBufferPointer) {
    switch form {
    case .single(let lower, let width):
      Self.map(bytes, UInt32.self) { (lower + width * (Float($0 >> 8) * 0x1p-24)).bitPattern }
    case .half(let bound):
      Self.map(bytes, UInt16.self) { Self.halfBits(bound * (Float($0) - 32767.5) * 0x1p-15) }
    case .brain(let bound):
      Self.map(bytes, UInt16.self) {
        UInt16((bound * (Float($0) - 32767.5) * 0x1p-15).bitPattern >> 16)
      }
    case .scaled(let place, let bits, let minimum):
      for block in stride(from: 0, to: bytes.count, by: blockBytes) {
        let random = UInt16(truncatingIfNeeded: bytes[block + place] & 15)
        bytes.storeBytes(
          of: (bits + random).littleEndian, toByteOffset: block + place, as: UInt16.self)
        guard let minimum else { continue }
        bytes.storeBytes(
          of: minimum.bits.littleEndian, toByteOffset: block + minimum.place, as: UInt16.self)
      }
    case .exponent(let exponent):
      for block in stride(from: 0, to: bytes.count, by: blockBytes) {
        bytes[block] = exponent + (bytes[block] & 1)
      }
    }
  }

  private static func map<T: FixedWidthInteger & BitwiseCopyable>(
    _ bytes: UnsafeMutableRawBufferPointer, _: T.Type, _ body: (T) -> T
  ) {
    for offset in stride(from: 0, to: bytes.count, by: MemoryLayout<T>.size) {
      let random = T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
      bytes.storeBytes(of: body(random).littleEndian, toByteOffset: offset, as: T.self)
    }
  }

  /// `value`, up to 65504 either way, as float16, rounded to nearest. (Swift has no Float16 on
  /// Intel Macs.)
  static func halfBits(_ value: Float) -> UInt16 {
    let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
    let magnitude = min(value.magnitude, 65504)
    // Below the normal range a step is 2^-24; the first normal number follows the last of them.
    guard magnitude >= 0x1p-14 else {
      return sign | UInt16((magnitude * 0x1p24).rounded(.toNearestOrEven))
    }
    let bits = magnitude.bitPattern
    let rounded = bits + 0xFFF + (bits >> 13 & 1)
    return sign | UInt16((rounded >> 13) - (112 << 10))
  }
}
