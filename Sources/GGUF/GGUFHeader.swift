internal import Tensors

/// The header of one GGUF file, checked: metadata, and tensors whose data lie inside the file,
/// aligned and apart from each other.
public struct GGUFHeader: Sendable {
  /// 2 or 3; both are laid out alike.
  public let version: UInt32
  /// Alignment of tensor data in bytes: `general.alignment`, or 32 when it is absent.
  public let alignment: UInt32
  /// All metadata, in file order.
  public let metadata: GGUFMetadata
  /// All tensors, in header order, with offsets from the start of the file.
  public let tensors: [GGUFTensor]
  /// Bytes of the header with the padding up to the data section.
  public let byteCount: UInt64
  private let storage: ByteStorage

  /// `general.alignment` when a file has none.
  public static let defaultAlignment: UInt32 = 32

  /// Reads the header of a file from memory.
  ///
  /// Nothing is trusted: counts, lengths and sizes are claims that are held against `fileSize` and
  /// ``GGUFLimits``. Cost is linear in the size of the header.
  /// - Parameters:
  ///   - bytes: The start of the file, at least its header; copied.
  ///   - path: The file's name for messages.
  ///   - fileSize: Length of the whole file, which tensor data must not exceed.
  ///   - shard: Index that the tensors carry.
  /// - Returns: The header, with its own copy of the bytes.
  /// - Throws: ``GGUFError`` for everything that is wrong with the bytes.
  public static func parse(
    _ bytes: RawSpan, path: String, fileSize: UInt64, shard: Int = 0
  ) throws -> GGUFHeader {
    var reader = try HeaderReader(bytes: bytes, path: path, fileSize: fileSize)
    return try GGUFHeader(&reader, shard: shard)
  }

  /// Reads the header of a file through `source`, in pieces that grow from 1 to 8 MiB, so that a
  /// file of any size costs only its header.
  /// - Parameters:
  ///   - path: The file's name for messages.
  ///   - fileSize: Length of the file.
  ///   - shard: Index that the tensors carry.
  ///   - source: Reads at an offset until the buffer is full or the file ends; returns the number
  ///     of bytes read.
  /// - Returns: The header.
  /// - Throws: ``GGUFError``, and what `source` throws.
  package static func parse(
    path: String, fileSize: UInt64, shard: Int,
    source: @escaping (UnsafeMutableRawBufferPointer, UInt64) throws -> Int
  ) throws -> GGUFHeader {
    var reader = unsafe HeaderReader(path: path, fileSize: fileSize, source: source)
    return try GGUFHeader(&reader, shard: shard)
  }

  /// The header as it is in the file, padding included, valid while the value is.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = storage.span
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  init(_ reader: inout HeaderReader, shard: Int) throws {
    version = try Self.readVersion(&reader)
    let tensorCount = try Self.readCount(
      &reader, "tensor count", limit: GGUFLimits.tensorCount, minimumByteCount: 33)
    let metadataCount = try Self.readCount(
      &reader, "metadata count", limit: GGUFLimits.metadataCount, minimumByteCount: 13)
    let parsed = try MetadataParser.parse(&reader, count: metadataCount)
    metadata = parsed.metadata
    alignment = parsed.alignment
    var infos = TensorParser(count: tensorCount, alignment: alignment, shard: shard)
    for index in 0..<tensorCount { try infos.parse(&reader, index: index) }

    let start = try Self.dataStart(reader, alignment: alignment, hasTensors: tensorCount > 0)
    tensors = try infos.place(reader, dataStart: start)
    byteCount = start
    _ = try reader.take(start - UInt64(reader.offset), .header("padding before tensor data"))
    storage = reader.storage
    storage.trim(to: reader.offset)
  }

  private static func readVersion(_ reader: inout HeaderReader) throws -> UInt32 {
    let magic = try reader.integer(UInt32.self, .header("magic"))
    guard magic == 0x4655_4747 else {
      let hexadecimal = String(magic.byteSwapped, radix: 16)
      throw reader.failure(
        .notGGUF, at: 0, .header("magic"), expected: "'GGUF' (47475546)",
        found: String(repeating: "0", count: 8 - hexadecimal.count) + hexadecimal,
        advice: "this is not a GGUF file")
    }
    let version = try reader.integer(UInt32.self, .header("version"))
    if version == 2 || version == 3 { return version }
    if version != 0, version & 0xFFFF == 0 {
      throw reader.failure(
        .bigEndian, at: 4, .header("version"), expected: "a little-endian file",
        found: "big-endian version \(version.byteSwapped)",
        advice: "convert the model again for little-endian machines")
    }
    throw reader.failure(
      .unsupportedVersion, at: 4, .header("version"), expected: "version 2 or 3",
      found: "version \(version)",
      advice: version == 1 ? "convert the model again with a current converter" : nil)
  }

  private static func readCount(
    _ reader: inout HeaderReader, _ name: String, limit: Int, minimumByteCount: Int
  ) throws -> Int {
    let start = reader.offset
    let claimed = try reader.integer(UInt64.self, .header(name))
    guard claimed <= UInt64(limit) else {
      throw reader.failure(
        .limitExceeded, at: start, .header(name), expected: "at most \(limit)",
        found: "\(claimed)")
    }
    let possible = reader.remaining / minimumByteCount
    guard claimed <= UInt64(possible) else {
      throw reader.failure(
        .truncated, at: start, .header(name),
        expected: "at most \(possible) in the \(reader.remaining) bytes left",
        found: "\(claimed)", advice: "the file is cut short or the count is damaged")
    }
    return Int(claimed)
  }

  private static func dataStart(
    _ reader: HeaderReader, alignment: UInt32, hasTensors: Bool
  ) throws -> UInt64 {
    let end = UInt64(reader.offset)
    let start = TensorLayout.align(end, to: alignment) ?? UInt64.max
    let left = UInt64(reader.remaining)
    if start - end <= left { return start }
    // A file of metadata alone may end without padding.
    guard hasTensors else { return end + left }
    throw reader.failure(
      .truncated, at: reader.offset, .header("padding before tensor data"),
      expected: "\(start - end) bytes", found: "\(left) left", advice: "the file is cut short")
  }
}
