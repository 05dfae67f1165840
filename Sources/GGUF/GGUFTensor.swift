public import Tensors

/// A tensor as a GGUF header describes it: what it is and where its data lie.
public struct GGUFTensor: Sendable, Equatable {
  /// Unique in the model.
  public let name: String
  /// Element type.
  public let type: TensorType
  /// Elements along each axis in ggml's order, the contiguous one first; 1 to 4 of them.
  public let dimensions: [UInt64]
  /// Index of the shard that holds the data.
  public let shard: Int
  /// First byte of the data, from the start of the shard's file.
  public internal(set) var offset: UInt64
  /// Bytes of data.
  public let byteCount: UInt64

  /// A tensor whose data lie at `offset` of file `shard`. The caller vouches for the numbers;
  /// ``GGUFHeader/parse(_:path:fileSize:shard:)`` makes tensors that are checked.
  public init(
    name: String, type: TensorType, dimensions: [UInt64], shard: Int, offset: UInt64,
    byteCount: UInt64
  ) {
    self.name = name
    self.type = type
    self.dimensions = dimensions
    self.shard = shard
    self.offset = offset
    self.byteCount = byteCount
  }

  /// Number of elements: the product of ``dimensions``, which fits 63 bits.
  public var elementCount: UInt64 { dimensions.reduce(1, &*) }
}

/// Sizes and places of tensor data, computed without wrapping: nil where a result would not fit.
package enum TensorLayout {
  /// The product of `dimensions` when it fits a signed 64-bit integer, as ggml counts elements.
  package static func elementCount(_ dimensions: [UInt64]) -> UInt64? {
    var product: UInt64 = 1
    for dimension in dimensions {
      let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
      guard !overflow, next <= UInt64(Int64.max) else { return nil }
      product = next
    }
    return product
  }

  /// Bytes of a tensor, or nil when its rows are not whole blocks or the size does not fit a
  /// signed 64-bit integer.
  package static func byteCount(_ type: TensorType, _ dimensions: [UInt64]) -> UInt64? {
    guard let first = dimensions.first, first % UInt64(type.blockSize) == 0,
      let elements = elementCount(dimensions), let bytes = type.byteCount(elements: elements),
      bytes <= UInt64(Int64.max)
    else { return nil }
    return bytes
  }

  /// The next multiple of `alignment` (not zero) from `offset` on.
  package static func align(_ offset: UInt64, to alignment: UInt32) -> UInt64? {
    let rest = offset % UInt64(alignment)
    guard rest != 0 else { return offset }
    let (sum, overflow) = offset.addingReportingOverflow(UInt64(alignment) - rest)
    return overflow ? nil : sum
  }

  /// The bytes of `byteCount` bytes of data at `offset` of a data section at `start`.
  package static func extent(start: UInt64, offset: UInt64, byteCount: UInt64) -> Range<UInt64>? {
    let (first, wrapped) = start.addingReportingOverflow(offset)
    guard !wrapped else { return nil }
    let (end, overflow) = first.addingReportingOverflow(byteCount)
    return overflow ? nil : first..<end
  }
}
