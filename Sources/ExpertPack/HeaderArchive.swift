public import FileIO
public import GGUF

/// The bytes of a source shard that are not tensor data: header, padding between tensors, tail.
///
/// `headers/00001.gguf.zst` holds them, in file order, as one zstd frame. With the tensor data they
/// rebuild the shard byte for byte; alone they give tokenizer, hyper-parameters and chat template.
public struct HeaderArchive: Sendable {
  /// The bytes, in file order: header first.
  public let bytes: AlignedBuffer
  /// Ranges of the shard that ``bytes`` holds, ascending.
  public let regions: [Range<UInt64>]

  /// Name of the archive of shard number `shard` (from 0).
  public static func fileName(shard: Int) -> String {
    let digits = String(shard + 1)
    return "headers/" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
      + ".gguf.zst"
  }

  /// The ranges of `shard` that belong to none of its tensors, ascending.
  public static func regions(of shard: GGUFShard) -> [Range<UInt64>] {
    regions(fileSize: shard.fileSize, tensors: shard.header.tensors)
  }

  /// The ranges of a shard of `fileSize` bytes that belong to none of `tensors`.
  static func regions(fileSize: UInt64, tensors: [GGUFTensor]) -> [Range<UInt64>] {
    var result: [Range<UInt64>] = []
    var position: UInt64 = 0
    for tensor in tensors.sorted(by: { $0.offset < $1.offset }) {
      if tensor.offset > position { result.append(position..<tensor.offset) }
      position = tensor.offset + tensor.byteCount
    }
    if fileSize > position { result.append(position..<fileSize) }
    return result
  }

  /// Reads the archive's bytes through `read`, which fills a buffer from an offset of the shard.
  public init(
    shard: GGUFShard, read: (UnsafeMutableRawBufferPointer, UInt64) throws -> Void
  ) throws {
    let regions = Self.regions(fileSize: shard.fileSize, tensors: shard.header.tensors)
    let count = regions.reduce(0) { $0 + UInt64($1.count) }
    guard count <= PackLimits.archiveBytes else {
      throw PackError(
        .unsupportedSource, path: shard.path,
        "\(count) bytes belong to no tensor; expected at most \(PackLimits.archiveBytes)")
    }
    let buffer = try AlignedBuffer(count: Int(count))
    var done = 0
    for region in regions {
      let part = UnsafeMutableRawBufferPointer(
        rebasing: buffer.bytes[done..<done + region.count])
      try read(part, region.lowerBound)
      done += region.count
    }
    self.bytes = buffer
    self.regions = regions
  }

  /// The archive as the frame stored in a pack.
  ///
  /// Throws `.unsupportedSource` for bytes that compress so well that no reader would inflate them.
  public func compressed(path: String) throws -> [UInt8] {
    let frame = try Zstd.compress(UnsafeRawBufferPointer(bytes.bytes), path: path)
    let limit = PackLimits.archiveBytes(compressed: UInt64(frame.count))
    guard bytes.count <= limit else {
      throw PackError(
        .unsupportedSource, path: path,
        "\(bytes.count) bytes that belong to no tensor compress to \(frame.count); expected at most "
          + "\(limit) that do: padding of this size has no use, write the file without it")
    }
    return frame
  }

  /// Opens a stored archive: the shard it describes and the archive itself.
  ///
  /// `frame` is the content of the archive file, `byteCount` bytes when decompressed; `path` and
  /// `fileSize` are those of the source shard, `shard` is its index. Throws when the frame is not
  /// one of that length, or its content no header of a file of that size.
  package static func open(
    frame: [UInt8], byteCount: Int, path: String, fileSize: UInt64, shard: Int
  ) throws -> (GGUFShard, HeaderArchive) {
    let buffer = try content(of: frame, byteCount: byteCount, path: path)
    let header = try GGUFHeader.parse(
      buffer.bytes.bytes, path: path, fileSize: fileSize, shard: shard)
    let regions = regions(fileSize: fileSize, tensors: header.tensors)
    guard regions.reduce(0, { $0 + UInt64($1.count) }) == UInt64(byteCount) else {
      throw PackError(
        .invalidManifest, path: path,
        "the archived header does not describe a source of \(fileSize) bytes")
    }
    let archive = HeaderArchive(bytes: buffer, regions: regions)
    return (GGUFShard(path: path, fileSize: fileSize, header: header), archive)
  }

  /// The bytes in `frame`, of which there must be `byteCount`; more than so small a frame may have are
  /// refused before there is room for them.
  package static func content(
    of frame: [UInt8], byteCount: Int, path: String
  ) throws -> AlignedBuffer {
    let limit = PackLimits.archiveBytes(compressed: UInt64(frame.count))
    guard byteCount <= limit else {
      throw PackError(
        .invalidManifest, path: path,
        "expected at most \(limit) header bytes in an archive of \(frame.count), found \(byteCount)"
      )
    }
    return try Zstd.decompress(frame, count: byteCount, path: path)
  }

  private init(bytes: AlignedBuffer, regions: [Range<UInt64>]) {
    self.bytes = bytes
    self.regions = regions
  }
}
