internal import ExpertPack
internal import FileIO

/// Reads a file front to back in units, with direct reads where they are possible, and digests it.
final class FileScan {
  private let file: File
  private let byteCount: UInt64
  private let log: FindingLog
  private let progress: PackProgress
  private let stream = XXH3Stream128()

  /// Large enough for the device's full rate, small enough that eight scans fit in 64 MiB.
  private static let bufferBytes = 8 << 20

  init(
    file: File, byteCount: UInt64, log: FindingLog, progress: @escaping PackProgress
  ) {
    self.log = log
    self.file = file
    self.byteCount = byteCount
    self.progress = progress
  }

  /// XXH3-128 of what has been read.
  var digest: Digest128 { stream.digest }

  /// Calls `body` with every unit of `unit` bytes, by index; the last may be shorter.
  func run(unit: Int, _ body: (Int, UnsafeRawBufferPointer) throws -> Void) throws {
    let unitsPerRead = max(1, Self.bufferBytes / unit)
    let alignment = ExpertPlacement.alignment
    let capacity = (unitsPerRead * unit + alignment - 1) / alignment * alignment
    let buffer = try AlignedBuffer(count: capacity)
    var index = 0
    var position: UInt64 = 0
    while position < byteCount {
      let wanted = Int(min(UInt64(unitsPerRead * unit), byteCount - position))
      let asked = (wanted + alignment - 1) / alignment * alignment
      let count = try file.read(into: buffer.bytes.part(0..<asked), at: position)
      guard count >= wanted else {
        throw FileIOError(
          .endOfFile, path: file.path,
          message: "ended at byte \(position + UInt64(count)) while it was read; expected "
            + "\(byteCount) bytes")
      }
      let bytes = UnsafeRawBufferPointer(buffer.bytes.part(0..<wanted))
      stream.update(bytes)
      for start in stride(from: 0, to: wanted, by: unit) {
        try body(index, bytes.part(start..<min(wanted, start + unit)))
        index += 1
      }
      position += UInt64(wanted)
      log.didRead(UInt64(wanted))
      progress(UInt64(wanted))
    }
  }
}
