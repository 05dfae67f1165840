internal import ExpertPack
internal import FileIO

/// Where a file of weights lies: at a path, or spread over the volumes of a striped pack.
struct RecordPlace: Sendable {
  /// A file a volume.
  let paths: [String]
  /// Bytes of a quarter of a record; of no meaning for a single path.
  let quarterBytes: UInt64

  /// A single file.
  init(_ path: String) {
    paths = [path]
    quarterBytes = 1
  }

  /// A layer's file, one in each volume; quarters have so many bytes.
  init(paths: [String], quarterBytes: Int) {
    self.paths = paths
    self.quarterBytes = UInt64(quarterBytes)
  }

  /// Opens the files for reading, past the page cache where that is possible.
  func reading(direct: Bool = true) throws -> RecordFile {
    try RecordFile(
      files: paths.map { try direct ? File.readingDirect($0) : File.reading($0) }, self)
  }

  /// Opens the files to write on, as they are; those that are not there are created.
  func continuing(direct: Bool) throws -> RecordFile {
    try RecordFile(files: paths.map { try File.continuing($0, direct: direct) }, self)
  }

  /// The last bytes of the `byteCount`, as a digest needs them.
  func rest(byteCount: UInt64) throws -> [UInt8] {
    let count = BlockDigest.restBytes(byteCount: byteCount)
    var rest = [UInt8](repeating: 0, count: count)
    let file = try reading(direct: false)
    try rest.withUnsafeMutableBytes {
      try file.readExactly(into: $0, at: byteCount - UInt64(count))
    }
    return rest
  }
}

/// A file of weights as one run of bytes, whether it is one file or spread over volumes. Any thread may
/// read and write.
final class RecordFile: Sendable {
  private let files: [File]
  private let place: RecordPlace
  private let stripe: Stripe

  fileprivate init(files: [File], _ place: RecordPlace) {
    self.files = files
    self.place = place
    stripe = Stripe(count: files.count)
  }

  /// The path, or that of the first volume.
  var path: String { files[0].path }

  /// Calls `body` with the file, the offset in it and the bytes of each part of `count` bytes at `offset`
  /// until it returns false.
  private func forEachPart(
    _ offset: UInt64, count: Int, _ body: (File, UInt64, Range<Int>) throws(FileIOError) -> Bool
  ) throws(FileIOError) {
    guard files.count > 1 else {
      _ = try body(files[0], offset, 0..<count)
      return
    }
    let quarter = place.quarterBytes
    var done = 0
    while done < count {
      let position = offset + UInt64(done)
      let slice = Int(position / quarter % UInt64(PackLimits.splits))
      let volume = stripe.volume(ofSlice: slice)
      let length = min(count - done, Int(quarter - position % quarter))
      let local = stripe.bytes(of: position, quarterBytes: quarter, volume: volume)
      guard try body(files[volume], local, done..<done + length) else { return }
      done += length
    }
  }

  /// Reads at `offset` until `buffer` is full or the bytes end; returns how many there were.
  func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(FileIOError) -> Int {
    var found = 0
    try forEachPart(offset, count: buffer.count) { file, local, range throws(FileIOError) in
      let count = try file.read(into: buffer.part(range), at: local)
      found += count
      return count == range.count
    }
    return found
  }

  /// Fills `buffer` with the bytes at `offset`; fewer are an `.endOfFile` error.
  func readExactly(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(FileIOError) {
    try forEachPart(offset, count: buffer.count) { file, local, range throws(FileIOError) in
      try file.readExactly(into: buffer.part(range), at: local)
      return true
    }
  }

  /// Writes all of `bytes` at `offset`.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileIOError) {
    try forEachPart(offset, count: bytes.count) { file, local, range throws(FileIOError) in
      try file.write(bytes.part(range), at: local)
      return true
    }
  }

  /// Bytes that are there from the first on.
  func size() throws(FileIOError) -> UInt64 {
    guard files.count > 1 else { return try files[0].size() }
    var least = UInt64.max
    for (volume, file) in files.enumerated() {
      let (whole, rest) = try file.size().quotientAndRemainder(dividingBy: place.quarterBytes)
      let quarter = UInt64(stripe.quarter(Int(whole), of: volume))
      least = min(least, quarter * place.quarterBytes + rest)
    }
    return least
  }

  /// The bytes of each file that are those up to `end` here.
  private func ends(_ end: UInt64) -> [(File, UInt64)] {
    guard files.count > 1 else { return [(files[0], end)] }
    return files.enumerated().map { volume, file in
      (file, stripe.bytes(of: end, quarterBytes: place.quarterBytes, volume: volume))
    }
  }

  /// Sets the length to `size` bytes.
  func resize(to size: UInt64) throws(FileIOError) {
    for (file, end) in ends(size) where try file.size() != end { try file.resize(to: end) }
  }

  /// Cuts what lies behind the first `size` bytes.
  func trim(to size: UInt64) throws(FileIOError) {
    for (file, end) in ends(size) where try file.size() > end { try file.resize(to: end) }
  }

  /// Reserves the blocks of `range` (``File/reserve(_:)``).
  func reserve(_ range: Range<UInt64>) throws(FileIOError) {
    for ((file, start), (_, end)) in zip(ends(range.lowerBound), ends(range.upperBound))
    where start < end { try file.reserve(start..<end) }
  }

  /// Flushes contents and lengths.
  func synchronize() throws(FileIOError) { for file in files { try file.synchronize() } }
}
