internal import ExpertPack
internal import FileIO
internal import GGUF

/// Reads the source's tensor data back out of a packed directory.
struct PackContent: Sendable {
  let pack: PackDirectory
  private let layerFiles: [File]
  private let resident: File

  private static let pieceBytes = 8 << 20

  init(pack: PackDirectory) throws {
    self.pack = pack
    layerFiles = try pack.files.map { try File.readingDirect($0.path) }
    resident = try File.reading(pack.path + "/" + PackDirectory.residentFileName)
  }

  /// The matrices of an expert as the source stores them, in the order of `layer.sources`.
  ///
  /// `verify` says whether the record's quarters are proved by their checksums first; one that
  /// does not agree throws `.damaged`.
  func matrices(layer: ExpertLayer, expert: Int, verify: Bool) throws -> AlignedBuffer {
    let placement = pack.placement(layer: layer.layer, expert: expert)
    let record = try AlignedBuffer(count: layer.geometry.recordStride)
    for (slice, read) in placement.reads.enumerated() {
      let bytes = record.bytes.part(read.slotOffset..<read.slotOffset + read.length)
      let file = layerFiles[read.file]
      try file.readExactly(into: bytes, at: read.offset)
      guard verify else { continue }
      let found = XXH3.hash64(UnsafeRawBufferPointer(bytes), seed: read.seed)
      guard found == read.checksum else {
        throw PackError(
          .damaged, path: file.path,
          "layer \(layer.layer), expert \(expert), slice \(slice): checksum is "
            + "\(Digest128.hexadecimal(found)), expected \(Digest128.hexadecimal(read.checksum)) "
            + "(bytes \(read.offset)..<\(read.offset + UInt64(read.length))); run moepack verify")
      }
    }
    let converter = ExpertRecord(layer: layer)
    let matrices = try AlignedBuffer(count: converter.sourceBytes)
    converter.join(UnsafeRawBufferPointer(record.bytes), into: matrices.bytes)
    return matrices
  }

  /// Calls `body` with the data of every resident tensor in pieces: the tensor, the offset of the
  /// piece in its shard, the bytes.
  func forEachResidentPiece(
    _ body: (GGUFTensor, UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let buffer = try AlignedBuffer(count: Self.pieceBytes)
    for index in pack.layout.residentOrder {
      let tensor = pack.source.tensors[index]
      guard case .resident(let start) = pack.layout.places[index] else { continue }
      var done: UInt64 = 0
      while done < tensor.byteCount {
        let count = Int(min(UInt64(buffer.count), tensor.byteCount - done))
        let piece = buffer.bytes.part(0..<count)
        try resident.readExactly(into: piece, at: start + done)
        try body(tensor, tensor.offset + done, UnsafeRawBufferPointer(piece))
        done += UInt64(count)
      }
    }
  }
}
