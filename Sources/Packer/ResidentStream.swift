internal import ExpertPack
internal import FileIO

/// Writes the resident image front to back and takes the checksum of every block on the way.
final class ResidentStream {
  private let file: File?
  private let block: AlignedBuffer
  private var filled = 0
  private var written: UInt64 = 0
  private let stream = XXH3Stream128()
  private(set) var checksums: [UInt64] = []

  /// A stream into `file`, nil when only the checksums are wanted; throws without the memory for
  /// one block.
  init(file: File?) throws {
    self.file = file
    block = try AlignedBuffer(count: PackLimits.residentBlockBytes)
  }

  /// Bytes of the image so far.
  var position: UInt64 { written + UInt64(filled) }
  /// XXH3-128 of everything flushed.
  var digest: Digest128 { stream.digest }

  /// Appends `count` bytes of `source` from `offset`.
  func append(_ source: any ByteSource, at offset: UInt64, count: UInt64) throws {
    var done: UInt64 = 0
    while done < count {
      let room = Int(min(UInt64(block.count - filled), count - done))
      try source.readExactly(into: block.bytes.part(filled..<filled + room), at: offset + done)
      filled += room
      done += UInt64(room)
      if filled == block.count { try flush() }
    }
  }

  /// Appends zeros up to position `end`.
  func pad(to end: UInt64) throws {
    while position < end {
      let room = Int(min(UInt64(block.count - filled), end - position))
      block.bytes.part(filled..<filled + room).initializeMemory(as: UInt8.self, repeating: 0)
      filled += room
      if filled == block.count { try flush() }
    }
  }

  /// Writes what is left of the last block and flushes the file to the disk.
  func finish() throws {
    if filled > 0 { try flush() }
    try file?.synchronize()
  }

  private func flush() throws {
    let bytes = UnsafeRawBufferPointer(block.bytes.part(0..<filled))
    checksums.append(
      XXH3.hash64(bytes, seed: ChecksumTable.seed(residentBlock: checksums.count)))
    stream.update(bytes)
    try file?.write(bytes, at: written)
    written += UInt64(filled)
    filled = 0
  }
}
