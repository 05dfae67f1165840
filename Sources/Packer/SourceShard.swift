internal import FileIO
internal import GGUF

/// A shard of the source while it is packed: read in whole pages, past the page cache where that is
/// possible, and digested on the way.
final class SourceShard: Sendable {
  let byteCount: UInt64
  let digest: ShardDigest
  private let content: any ByteSource

  /// Bytes that a read may bring beyond those asked for.
  static let slack = 2 * Int(ShardDigest.pageBytes)

  init(content: any ByteSource, byteCount: UInt64, digest: ShardDigest) {
    self.content = content
    self.byteCount = byteCount
    self.digest = digest
  }

  /// Opens the file of a shard for direct reads of whole pages, or buffered ones.
  static func open(_ path: String) throws -> File {
    let file = try File.readingDirect(path)
    return file.directAlignment <= Int(ShardDigest.pageBytes) ? file : try File.reading(path)
  }

  /// The last bytes of `content`, as its digest needs them.
  static func rest(of content: any ByteSource, byteCount: UInt64) throws -> [UInt8] {
    let count = BlockDigest.restBytes(byteCount: byteCount)
    let page = ShardDigest.pageBytes
    let start = (byteCount - UInt64(count)) / page * page
    let buffer = try AlignedBuffer(count: 3 * Int(page))
    let bytes = try Self.read(start..<byteCount, of: content, into: buffer.bytes)
    return Array(bytes.suffix(count))
  }

  /// Reads `range` with the pages around it into `buffer`, which is page-aligned and has ``slack`` bytes
  /// more than that, and digests what is new of it.
  /// - Returns: The bytes of `range`, within `buffer`.
  func read(
    _ range: Range<UInt64>, into buffer: UnsafeMutableRawBufferPointer,
    scratch: UnsafeMutableRawBufferPointer
  ) throws -> UnsafeRawBufferPointer {
    let page = ShardDigest.pageBytes
    let start = range.lowerBound / page * page
    let end = min(byteCount, (range.upperBound + page - 1) / page * page)
    guard start < end else { return UnsafeRawBufferPointer(buffer.part(0..<0)) }
    let bytes = try Self.read(start..<end, of: content, into: buffer)
    try digest.add(bytes, at: start, scratch: scratch)
    let first = Int(range.lowerBound - start)
    return bytes.part(first..<first + range.count)
  }

  private static func read(
    _ range: Range<UInt64>, of content: any ByteSource,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws -> UnsafeRawBufferPointer {
    let part = buffer.part(0..<range.count)
    guard let file = content as? File, file.isDirect else {
      try content.readExactly(into: part, at: range.lowerBound)
      return UnsafeRawBufferPointer(part)
    }
    let page = Int(ShardDigest.pageBytes)
    let asked = (range.count + page - 1) / page * page
    let found = try file.read(into: buffer.part(0..<asked), at: range.lowerBound)
    guard found >= range.count else {
      throw FileIOError(
        .endOfFile, path: file.path,
        message:
          "ends at byte \(range.lowerBound + UInt64(found)), expected \(range.count) bytes at "
          + "\(range.lowerBound); it was cut while it was read")
    }
    return UnsafeRawBufferPointer(part)
  }
}
