public import FileIO
public import Tensors

/// Makes GGUF files, version 3, little-endian.
///
/// Collect metadata and tensors, ask for the ``header()``, then write data where the header's
/// tensors say; ``write(to:data:)`` does both. Data follow the header in the order of the tensors,
/// each padded with zeros to the alignment, as ggml writes them. The same input gives the same
/// bytes.
public struct GGUFWriter: Sendable {
  /// The metadata to write, in this order. A `general.alignment` in it takes effect.
  public var metadata: GGUFMetadata
  private var tensors: [(name: String, type: TensorType, dimensions: [UInt64])] = []

  /// What to write, and where the data of its tensors belong.
  public struct Layout: Sendable {
    /// The checked header: its ``GGUFHeader/bytes`` go to the start of the file, and its tensors
    /// say where their data belong.
    public let header: GGUFHeader
    /// Length of the finished file in bytes, the padding after the last tensor included.
    public let fileSize: UInt64
  }

  /// A writer of a file with this metadata.
  /// - Parameters:
  ///   - metadata: The metadata to write.
  ///   - alignment: Written as `general.alignment` when given.
  public init(metadata: GGUFMetadata = GGUFMetadata(), alignment: UInt32? = nil) {
    self.metadata = metadata
    if let alignment { self.metadata.set(.uint32(alignment), for: "general.alignment") }
  }

  /// Adds a tensor after those that are there.
  /// - Parameters:
  ///   - name: Unique in the model.
  ///   - type: Element type.
  ///   - dimensions: Elements along each axis in ggml's order, the contiguous one first.
  public mutating func add(_ name: String, type: TensorType, dimensions: [UInt64]) {
    tensors.append((name, type, dimensions))
  }

  /// Lays the file out.
  ///
  /// The header is read back by the parser, so what is written can be read, and what cannot be
  /// written fails with the parser's errors.
  /// - Parameters:
  ///   - path: The file's name for messages.
  ///   - shard: Index that the tensors of the header carry.
  /// - Returns: The header and the length of the finished file.
  /// - Throws: ``GGUFError`` for whatever could not be read again.
  public func layout(path: String = "header", shard: Int = 0) throws -> Layout {
    let alignment = try alignment(path: path)
    var bytes: [UInt8] = Array("GGUF".utf8)
    bytes.appendLittleEndian(UInt32(3))
    bytes.appendLittleEndian(UInt64(tensors.count))
    bytes.appendLittleEndian(UInt64(metadata.count))
    for entry in metadata.entries {
      bytes.appendString(entry.key)
      bytes.appendLittleEndian(entry.value.type.rawValue)
      entry.value.encode(to: &bytes)
    }
    var end: UInt64 = 0
    for tensor in tensors {
      bytes.appendString(tensor.name)
      bytes.appendLittleEndian(UInt32(tensor.dimensions.count))
      for dimension in tensor.dimensions { bytes.appendLittleEndian(dimension) }
      bytes.appendLittleEndian(tensor.type.id)
      bytes.appendLittleEndian(end)
      guard let size = TensorLayout.byteCount(tensor.type, tensor.dimensions),
        let extent = TensorLayout.extent(start: 0, offset: end, byteCount: size),
        let next = TensorLayout.align(extent.upperBound, to: alignment)
      else {
        throw GGUFError(
          .invalidDimensions, path: path, field: "tensor \(tensor.name.quotedForMessage)",
          expected: "whole blocks of \(tensor.type.blockSize) and at most \(Int64.max) bytes",
          found: "dimensions \(tensor.dimensions) of \(tensor.type)")
      }
      end = next
    }
    let padding = (Int(alignment) - bytes.count % Int(alignment)) % Int(alignment)
    bytes.append(contentsOf: repeatElement(0, count: padding))
    let (fileSize, overflow) = end.addingReportingOverflow(UInt64(bytes.count))
    guard !overflow, fileSize <= UInt64(Int64.max) else {
      throw GGUFError(
        .limitExceeded, path: path, field: "file", expected: "at most \(Int64.max) bytes",
        found: "more")
    }
    let header = try GGUFHeader.parse(
      unsafe bytes.span.bytes, path: path, fileSize: fileSize, shard: shard)
    return Layout(header: header, fileSize: fileSize)
  }

  private func alignment(path: String) throws -> UInt32 {
    guard let value = metadata["general.alignment"] else { return GGUFHeader.defaultAlignment }
    guard let alignment = value.alignment else {
      throw GGUFError(
        .invalidAlignment, path: path, field: "metadata key 'general.alignment'",
        expected: GGUFValue.alignmentRule, found: "\(value)")
    }
    return alignment
  }

  /// Writes the whole file: the header, then for each tensor what `data` provides, then padding.
  /// - Parameters:
  ///   - file: Open for writing; existing content is replaced.
  ///   - data: Called once for each tensor, in order. It hands the tensor's bytes to the function
  ///     that it is given, in any number of pieces, and must provide exactly
  ///     ``GGUFTensor/byteCount`` of them.
  /// - Returns: What was written.
  /// - Throws: `.wrongDataLength` for a tensor with too few or too many bytes; what `data` throws;
  ///   errors of the file. The file is then incomplete.
  @discardableResult
  public func write(
    to file: File, data: (GGUFTensor, _ emit: (RawSpan) throws -> Void) throws -> Void
  ) throws -> Layout {
    let layout = try layout(path: file.path)
    // Shrinking to nothing first leaves zeros wherever nothing is written.
    try file.resize(to: 0)
    try file.resize(to: layout.fileSize)
    try file.write(layout.header.bytes, at: 0)
    for tensor in layout.header.tensors {
      var written: UInt64 = 0
      try data(tensor) { bytes in
        let count = UInt64(bytes.byteCount)
        guard count <= tensor.byteCount - written else {
          throw Self.wrongLength(tensor, file, found: "at least \(written + count)")
        }
        try file.write(bytes, at: tensor.offset + written)
        written += count
      }
      guard written == tensor.byteCount else {
        throw Self.wrongLength(tensor, file, found: "\(written)")
      }
    }
    return layout
  }

  private static func wrongLength(_ tensor: GGUFTensor, _ file: File, found: String) -> GGUFError {
    GGUFError(
      .wrongDataLength, path: file.path, field: "tensor \(tensor.name.quotedForMessage)",
      expected: "\(tensor.byteCount) bytes of data", found: found)
  }
}

extension File {
  fileprivate func write(_ bytes: RawSpan, at offset: UInt64) throws {
    try unsafe bytes.withUnsafeBytes { try unsafe write($0, at: offset) }
  }
}
