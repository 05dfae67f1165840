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

  private func read(_ count: Int, into buffer: AlignedBuffer, at position: UInt64) throws {
    let alignment = ExpertPlacement.alignment
    let asked = (count + alignment - 1) / alignment * alignment
    let found = try file.read(into: buffer.bytes.part(0..<asked), at: position)
    guard found >= count else {
      throw FileIOError(
        .endOfFile, path: file.path,
        message: "ended at byte \(position + UInt64(found)) while it was read; expected "
          + "\(byteCount) bytes")
    }
  }

  /// Calls `body` with every unit of `unit` bytes, by index; the last may be shorter.
  ///
  /// A unit that the system cannot read, as on a failing disk, goes to `unreadable` with its range
  /// and the reason; the others are still read, and the digest is of no use.
  func run(
    unit: Int, unreadable: (Int, Range<UInt64>, FileIOError) -> Void,
    _ body: (Int, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let unitsPerRead = max(1, Self.bufferBytes / unit)
    let alignment = ExpertPlacement.alignment
    let capacity = (unitsPerRead * unit + alignment - 1) / alignment * alignment
    let buffer = try AlignedBuffer(count: capacity)
    var index = 0
    var position: UInt64 = 0
    while position < byteCount {
      let wanted = Int(min(UInt64(unitsPerRead * unit), byteCount - position))
      var isWhole = true
      do {
        try read(wanted, into: buffer, at: position)
        stream.update(UnsafeRawBufferPointer(buffer.bytes.part(0..<wanted)))
      } catch {
        isWhole = false
      }
      for start in stride(from: 0, to: wanted, by: unit) {
        let range = start..<min(wanted, start + unit)
        do {
          let first = isWhole ? start : 0
          if !isWhole { try read(range.count, into: buffer, at: position + UInt64(start)) }
          try body(index, UnsafeRawBufferPointer(buffer.bytes.part(first..<first + range.count)))
        } catch let error as FileIOError {
          let place = position + UInt64(range.lowerBound)..<position + UInt64(range.upperBound)
          unreadable(index, place, error)
        }
        index += 1
      }
      position += UInt64(wanted)
      log.didRead(UInt64(wanted))
      progress(UInt64(wanted))
    }
  }
}
