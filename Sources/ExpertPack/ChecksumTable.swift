internal import FileIO

/// The checksums of a pack, in the order of `checksums.xxh3`: every layer by number, every expert,
/// every extent; then every block of the resident image.
///
/// Each is an XXH3-64 whose seed says where the bytes belong, so that intact bytes in the wrong
/// place fail.
public struct ChecksumTable: Sendable {
  /// Name of the file.
  public static let fileName = "checksums.xxh3"

  /// The values, 8 bytes each in the file, little-endian.
  public private(set) var values: [UInt64]
  /// Where which value stands.
  private let places: ChecksumIndex

  /// A table for `layout`, all zero.
  public init(layout: PackLayout, kind: PackKind) {
    places = ChecksumIndex(layout: layout, kind: kind)
    values = [UInt64](repeating: 0, count: places.count)
  }

  /// Checksums of a pack with `layout`, known without making room for them.
  public static func count(layout: PackLayout, kind: PackKind) -> Int {
    ChecksumIndex(layout: layout, kind: kind).count
  }

  /// Bytes of the file.
  public var byteCount: Int { values.count * 8 }
  /// Blocks of the resident image.
  public var residentBlockCount: Int { places.residentBlockCount }

  /// The table with the values of `bytes`, which must be ``byteCount`` long.
  public mutating func load(_ bytes: [UInt8]) {
    precondition(bytes.count == byteCount)
    bytes.withUnsafeBytes { buffer in
      for index in values.indices {
        values[index] = UInt64(
          littleEndian: buffer.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
      }
    }
  }

  /// The bytes of the file.
  public var bytes: [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(byteCount)
    for value in values {
      withUnsafeBytes(of: value.littleEndian) { out.append(contentsOf: $0) }
    }
    return out
  }

  /// Where the checksum of an extent stands. `position` is the layer's index in the layout.
  public func index(layerPosition position: Int, expert: Int, extent: Int) -> Int {
    places.index(layerPosition: position, expert: expert, extent: extent)
  }

  /// Where the checksum of block `block` of the resident image stands.
  public func index(residentBlock block: Int) -> Int { places.index(residentBlock: block) }

  /// Sets the value at `index`.
  public mutating func set(_ index: Int, to value: UInt64) { values[index] = value }

  /// Seed of an extent: layer in bits 40-63, expert in 8-39, extent in 0-7.
  public static func seed(layer: Int, expert: Int, extent: Int) -> UInt64 {
    UInt64(layer) << 40 | UInt64(expert) << 8 | UInt64(extent)
  }

  /// Seed of a block of the resident image: all ones in bits 40-63, block below.
  public static func seed(residentBlock block: Int) -> UInt64 {
    0xFF_FFFF << 40 | UInt64(block)
  }
}
