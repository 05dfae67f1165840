internal import FileIO

/// XXH3-128 of whole files.
enum SourceDigests {
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
