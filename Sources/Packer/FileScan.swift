internal import ExpertPack
internal import FileIO
internal import Synchronization

/// A file to be read front to back, unit by unit, and what is said about it.
struct FileScan: Sendable {
  let place: RecordPlace
  /// Bytes to read; the file has at least these.
  let byteCount: UInt64
  /// Bytes that are checked at once; the last unit may be shorter.
  let unit: Int
  /// The finding about unit number so and so with these bytes; nil when they are right.
  let check: @Sendable (Int, UnsafeRawBufferPointer) -> PackFinding?
  /// The finding about a unit that the system cannot read.
  let unreadable: @Sendable (Int, Range<UInt64>, FileIOError) -> PackFinding
  /// The finding about the digest of all bytes; asked only when nothing else was found in the file.
  let finish: @Sendable (Digest128) -> PackFinding?

  /// Large enough for a device's full rate, small enough that eight threads fit in 64 MiB.
  private static let pieceBytes = 8 << 20

  /// Memory for all threads together, where units are large.
  private static let memoryBytes = 384 << 20

  private var unitsPerPiece: Int { max(1, Self.pieceBytes / unit) }
  private var pieceCount: Int {
    let piece = UInt64(unitsPerPiece * unit)
    return Int((byteCount + piece - 1) / piece)
  }

  private struct Piece: Sendable {
    /// Sums of blocks for the digest of the file.
    var sums: [UInt64] = []
    /// Nothing was found in it.
    var isRight = true
  }

  /// Reads `scans`, pieces of all of them side by side, and logs what is found.
  ///
  /// A unit that the system cannot read, as on a failing disk, is a finding; the others are still read.
  static func run(
    _ scans: [FileScan], threads: Int, log: FindingLog, progress: @escaping PackProgress
  ) throws {
    let pieces = scans.indices.flatMap { scan in
      (0..<scans[scan].pieceCount).map { (scan: scan, piece: $0) }
    }
    let files = OpenFiles()
    let alignment = ExpertPlacement.alignment
    let room = scans.map { ($0.unitsPerPiece * $0.unit + alignment - 1) / alignment * alignment }
    let buffers = BufferPool(byteCount: room.max() ?? 0)
    let digests = Digests(scans)
    let threads = max(1, min(threads, memoryBytes / max(room.max() ?? 0, 1)))
    for scan in scans where scan.byteCount == 0 {
      log.add(
        scan.finish(
          BlockDigest(byteCount: 0).value(rest: UnsafeRawBufferPointer(start: nil, count: 0))))
    }
    try OrderedWork.forEach(pieces.count, threads: threads, window: 4 * threads) { index in
      let (scan, piece) = pieces[index]
      var result = Piece()
      try buffers.withBuffer { buffer in
        result = scans[scan].read(
          piece, from: { try files.file(scan, scans[scan].place) }, into: buffer, log: log)
      }
      progress(UInt64(scans[scan].range(piece).count))
      return result
    } commit: { index, result in
      let (scan, piece) = pieces[index]
      digests.add(result, to: scan)
      guard piece == scans[scan].pieceCount - 1 else { return }
      defer { files.close(scan) }
      guard let digest = digests.take(scan) else { return }
      do {
        let rest = try scans[scan].place.rest(byteCount: scans[scan].byteCount)
        log.add(scans[scan].finish(rest.withUnsafeBytes { digest.value(rest: $0) }))
      } catch let error as FileIOError {
        log.add(scans[scan].unreadable(piece, scans[scan].range(piece), error))
      }
    }
  }

  private func range(_ piece: Int) -> Range<UInt64> {
    let bytes = UInt64(unitsPerPiece * unit)
    return UInt64(piece) * bytes..<min(byteCount, UInt64(piece + 1) * bytes)
  }

  private func read(
    _ piece: Int, from open: () throws -> RecordFile, into buffer: AlignedBuffer, log: FindingLog
  ) -> Piece {
    let range = range(piece)
    var result = Piece()
    var isWhole = true
    do {
      try Self.read(range, of: open(), into: buffer)
      let blocks = min(range.upperBound, BlockDigest(byteCount: byteCount).blockCount * 1024)
      let count = blocks > range.lowerBound ? Int(blocks - range.lowerBound) / 1024 : 0
      result.sums = BlockDigest.sums(
        of: UnsafeRawBufferPointer(buffer.bytes.part(0..<range.count)), count: count)
    } catch {
      isWhole = false
      result.isRight = false
    }
    for start in stride(from: 0, to: range.count, by: unit) {
      let part = start..<min(range.count, start + unit)
      let index = piece * unitsPerPiece + start / unit
      let place =
        range.lowerBound + UInt64(part.lowerBound)..<range.lowerBound + UInt64(part.upperBound)
      do {
        if !isWhole { try Self.read(place, of: open(), into: buffer) }
        let first = isWhole ? start : 0
        guard
          let finding = check(
            index, UnsafeRawBufferPointer(buffer.bytes.part(first..<first + part.count)))
        else { continue }
        log.add(finding)
      } catch let error as FileIOError {
        log.add(unreadable(index, place, error))
      } catch {
        log.add(
          unreadable(
            index, place, FileIOError(.system, path: self.place.paths[0], message: "\(error)")))
      }
      result.isRight = false
    }
    log.didRead(UInt64(range.count))
    return result
  }

  private static func read(
    _ range: Range<UInt64>, of file: RecordFile, into buffer: AlignedBuffer
  ) throws {
    let alignment = ExpertPlacement.alignment
    let asked = (range.count + alignment - 1) / alignment * alignment
    let found = try file.read(into: buffer.bytes.part(0..<asked), at: range.lowerBound)
    guard found >= range.count else {
      throw FileIOError(
        .endOfFile, path: file.path,
        message: "ended at byte \(range.lowerBound + UInt64(found)) while it was read; expected "
          + "\(range.upperBound) bytes or more")
    }
  }

  /// Files that are being read: opened with their first piece, closed with their last, for a pack may
  /// have more of them than a process may have open.
  private final class OpenFiles: Sendable {
    private let files = Mutex<[Int: RecordFile]>([:])

    func file(_ index: Int, _ place: RecordPlace) throws -> RecordFile {
      try files.withLock { files in
        if let file = files[index] { return file }
        let file = try place.reading()
        files[index] = file
        return file
      }
    }

    func close(_ index: Int) { files.withLock { $0[index] = nil } }
  }

  /// The digest of each file as far as it has been read; none once something was found in it.
  private final class Digests: Sendable {
    private let digests: Mutex<[Int: BlockDigest]>

    init(_ scans: [FileScan]) {
      let digests = scans.enumerated().map { ($0, BlockDigest(byteCount: $1.byteCount)) }
      self.digests = Mutex(Dictionary(uniqueKeysWithValues: digests))
    }

    func add(_ piece: Piece, to scan: Int) {
      digests.withLock { digests in
        if piece.isRight {
          piece.sums.withUnsafeBytes { digests[scan]?.fold($0) }
        } else {
          digests[scan] = nil
        }
      }
    }

    func take(_ scan: Int) -> BlockDigest? { digests.withLock { $0.removeValue(forKey: scan) } }
  }
}
