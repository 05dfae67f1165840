internal import FileIO
internal import GGUF

/// XXH3-128 of whole source shards.
enum SourceDigests {
  private static let chunkBytes = 4 << 20

  /// Digests of `shards`, whose bytes are `contents`, read from start to end one after the other.
  static func compute(
    _ shards: [GGUFShard], contents: [any ByteSource]
  ) throws -> [Digest128] {
    let buffer = try AlignedBuffer(count: chunkBytes)
    return try zip(shards, contents).map { shard, content in
      try digest(of: content, byteCount: shard.fileSize, buffer: buffer)
    }
  }

  /// Digest of the first `byteCount` bytes of `file`; a shorter file is an error.
  static func digest(
    of file: any ByteSource, byteCount: UInt64, buffer: AlignedBuffer,
    progress: (UInt64) -> Void = { _ in }
  ) throws -> Digest128 {
    let stream = XXH3Stream128()
    var position: UInt64 = 0
    while position < byteCount {
      let part = buffer.bytes.part(0..<Int(min(UInt64(buffer.count), byteCount - position)))
      try file.readExactly(into: part, at: position)
      stream.update(UnsafeRawBufferPointer(part))
      position += UInt64(part.count)
      progress(UInt64(part.count))
    }
    return stream.digest
  }
}
