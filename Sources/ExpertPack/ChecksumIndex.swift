/// Where the checksums of a pack stand in its table; as small as the layout, whatever the layout claims.
///
/// A header of a few hundred kilobytes can describe 2^26 slices. The table of their checksums takes half
/// a gigabyte, so it is made only of bytes that are there, and who needs places alone asks this.
public struct ChecksumIndex: Sendable {
  /// Values in the table.
  public let count: Int
  /// Index of the first checksum of each layer, by position in the layout.
  private let layerStart: [Int]
  private let extentsPerExpert: [Int]
  private let residentStart: Int

  /// The places for `layout`.
  public init(layout: PackLayout, kind: PackKind) {
    var starts: [Int] = []
    var extents: [Int] = []
    var next = 0
    for layer in layout.layers {
      starts.append(next)
      let count = kind == .packed ? PackLimits.splits : layer.sources.count
      extents.append(count)
      next += layer.expertCount * count
    }
    layerStart = starts
    extentsPerExpert = extents
    residentStart = next
    let block = UInt64(PackLimits.residentBlockBytes)
    count = next + Int(layout.residentBytes.roundedUp(to: block) / block)
  }

  /// Bytes of the file.
  public var byteCount: Int { count * 8 }
  /// Blocks of the resident image.
  public var residentBlockCount: Int { count - residentStart }

  /// Where the checksum of an extent stands. `position` is the layer's index in the layout.
  public func index(layerPosition position: Int, expert: Int, extent: Int) -> Int {
    layerStart[position] + expert * extentsPerExpert[position] + extent
  }

  /// Where the checksum of block `block` of the resident image stands.
  public func index(residentBlock block: Int) -> Int { residentStart + block }
}
