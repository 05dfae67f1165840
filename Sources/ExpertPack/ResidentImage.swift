internal import GGUF
public import FileIO

extension PackDirectory {
  /// Bytes of one read when the image is loaded: large enough for the device's full rate.
  private static let chunkBytes = 8 << 20

  /// Reads the whole resident image into memory, huge pages where the system grants them.
  ///
  /// Tensors lie at the offsets that ``residentTensor(_:)`` gives. For an in-place pack the image is
  /// assembled from the source.
  /// - Parameters:
  ///   - verify: Whether to prove every 1 MiB block by its checksum; the error names file and bytes.
  ///   - threads: Reads in flight.
  /// - Returns: The image, ``residentByteCount`` bytes, owned by the caller.
  /// - Throws: `PackError` (`.damaged`) for a block that does not agree; `FileIOError` when a file
  ///   cannot be read to its end or the system refuses the memory.
  public func loadResident(verify: Bool, threads: Int) throws -> AlignedBuffer {
    let image = try AlignedBuffer(count: residentByteCount)
    switch manifest.kind {
    case .packed:
      let file = try File.readingDirect(path + "/" + Self.residentFileName)
      let chunks = (image.count + Self.chunkBytes - 1) / Self.chunkBytes
      try ParallelWork.forEach(chunks, threads: threads) { chunk in
        let range =
          chunk * Self.chunkBytes..<min(image.count, (chunk + 1) * Self.chunkBytes)
        try file.readExactly(
          into: UnsafeMutableRawBufferPointer(rebasing: image.bytes[range]),
          at: UInt64(range.lowerBound))
      }
    case .inPlace:
      let shards = try source.shards.map { try File.reading($0.path) }
      try ParallelWork.forEach(layout.residentOrder.count, threads: threads) { position in
        let index = layout.residentOrder[position]
        let tensor = source.tensors[index]
        guard case .resident(let offset) = layout.places[index] else { return }
        let range = Int(offset)..<Int(offset) + Int(tensor.byteCount)
        try shards[tensor.shard].readExactly(
          into: UnsafeMutableRawBufferPointer(rebasing: image.bytes[range]), at: tensor.offset)
      }
    }
    if verify {
      try ParallelWork.forEach(checksums.residentBlockCount, threads: threads) { block in
        if let damage = residentDamage(image: UnsafeRawBufferPointer(image.bytes), block: block) {
          throw damage
        }
      }
    }
    return image
  }

  /// The error for block `block` of a resident image, or nil when its checksum agrees.
  public func residentDamage(image: UnsafeRawBufferPointer, block: Int) -> PackError? {
    let range = residentBlockRange(block)
    let found = XXH3.hash64(
      UnsafeRawBufferPointer(rebasing: image[range]),
      seed: ChecksumTable.seed(residentBlock: block))
    let expected = checksums.values[checksums.index(residentBlock: block)]
    guard found != expected else { return nil }
    let place = manifest.kind == .packed ? path + "/" + Self.residentFileName : path
    return PackError(
      .damaged, path: place,
      "resident block \(block): checksum is \(Digest128.hexadecimal(found)), expected "
        + "\(Digest128.hexadecimal(expected)) (bytes \(range.lowerBound)..<\(range.upperBound)); "
        + (manifest.kind == .packed
          ? "run moepack verify, then pack the source again"
          : "the source was altered after it was indexed"))
  }

  /// Bytes of the image that block `block` covers.
  public func residentBlockRange(_ block: Int) -> Range<Int> {
    let start = block * PackLimits.residentBlockBytes
    return start..<min(residentByteCount, start + PackLimits.residentBlockBytes)
  }
}
