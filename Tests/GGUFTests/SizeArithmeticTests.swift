import GGUF
import GGUFTestSupport
import Tensors
import Testing

/// Sizes and places of tensors against arithmetic that cannot wrap.
@Suite struct SizeArithmeticTests {
  private static let largest = BigNatural(UInt64(Int64.max))

  /// Numbers where arithmetic goes wrong: small ones, powers of two and their neighbours, anything.
  private static func number(_ random: inout RandomSource) -> UInt64 {
    switch Int.random(in: 0..<4, using: &random) {
    case 0: return UInt64.random(in: 1...8, using: &random)
    case 1: return UInt64.random(in: 1...1024, using: &random) &* 32
    case 2:
      let power = UInt64(1) << UInt64.random(in: 0..<64, using: &random)
      return power &+ UInt64.random(in: 0...2, using: &random) &- 1
    default: return random.next() >> UInt64.random(in: 0..<64, using: &random)
    }
  }

  @Test(
    "V02 every size path equals arbitrary-precision arithmetic, or throws where it does not fit")
  func sizePaths() throws {
    var random = RandomSource(seed: 2)
    var accepted = 0
    for _ in 0..<20_000 {
      let type = TensorType.all[Int.random(in: 0..<TensorType.all.count, using: &random)]
      let rank = Int.random(in: 1...4, using: &random)
      var dimensions = (0..<rank).map { _ in max(1, Self.number(&random)) }
      if Bool.random(using: &random) {
        let (aligned, overflow) = dimensions[0].multipliedReportingOverflow(
          by: UInt64(type.blockSize))
        if !overflow { dimensions[0] = aligned }
      }
      let elements = dimensions.reduce(BigNatural(1)) { $0 * BigNatural($1) }
      let (blocks, rest) = elements.quotientAndRemainder(dividingBy: UInt32(type.blockSize))
      let bytes = blocks * BigNatural(UInt64(type.bytesPerBlock))
      let fits =
        rest == 0 && dimensions[0] % UInt64(type.blockSize) == 0 && elements <= Self.largest
        && bytes <= Self.largest
      let computed = TensorLayout.byteCount(type, dimensions)
      #expect((computed != nil) == fits, "\(type) \(dimensions)")
      if let computed {
        accepted += 1
        #expect(BigNatural(computed) == bytes)
        #expect(TensorLayout.elementCount(dimensions).map { BigNatural($0) } == elements)
      }
    }
    #expect(accepted > 2000)
  }

  @Test("V02 padding and extents equal arbitrary-precision arithmetic")
  func padding() throws {
    var random = RandomSource(seed: 3)
    let limit = BigNatural(.max)
    for _ in 0..<20_000 {
      let offset = Self.number(&random)
      let alignment = UInt32(1) << UInt32.random(in: 0...20, using: &random)
      let (quotient, rest) = BigNatural(offset).quotientAndRemainder(dividingBy: alignment)
      let next = (rest == 0 ? quotient : quotient + BigNatural(1)) * BigNatural(UInt64(alignment))
      #expect(
        TensorLayout.align(offset, to: alignment).map { BigNatural($0) }
          == (next <= limit ? next : nil))

      let start = Self.number(&random)
      let count = Self.number(&random)
      let end = BigNatural(start) + BigNatural(offset) + BigNatural(count)
      let extent = TensorLayout.extent(start: start, offset: offset, byteCount: count)
      #expect(extent.map { BigNatural($0.upperBound) } == (end <= limit ? end : nil))
    }
  }

  @Test("V02 the parser accepts exactly the tensors whose bytes fit the file")
  func parser() throws {
    var random = RandomSource(seed: 4)
    var accepted = 0
    for _ in 0..<5_000 {
      let type = TensorType.all[Int.random(in: 0..<TensorType.all.count, using: &random)]
      let rank = Int.random(in: 1...4, using: &random)
      var dimensions = (0..<rank).map { _ in max(1, Self.number(&random) >> 20) }
      dimensions[0] = dimensions[0] &* UInt64(type.blockSize)
      let offset = Self.number(&random) & ~31
      let fileSize = Self.number(&random) | 1 << 40
      var header = HeaderBuilder(tensors: 1)
      header.tensor("w", type: type.id, dimensions: dimensions, offset: offset)
      header.pad()
      let elements = dimensions.reduce(BigNatural(1)) { $0 * BigNatural($1) }
      let (blocks, _) = elements.quotientAndRemainder(dividingBy: UInt32(type.blockSize))
      let bytes = blocks * BigNatural(UInt64(type.bytesPerBlock))
      let end = BigNatural(header.offset) + BigNatural(offset) + bytes
      let fits =
        elements <= Self.largest && bytes <= Self.largest && end <= BigNatural(fileSize)
      let parsed = try? header.parse(fileSize: fileSize)
      #expect((parsed != nil) == fits, "\(type) \(dimensions) at \(offset) of \(fileSize)")
      if let tensor = parsed?.tensors.first {
        accepted += 1
        #expect(tensor.offset == header.offset + offset)
        #expect(BigNatural(tensor.byteCount) == bytes)
        #expect(BigNatural(tensor.elementCount) == elements)
      }
    }
    #expect(accepted > 500)
  }
}
