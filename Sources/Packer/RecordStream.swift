internal import ExpertPack
internal import FileIO

/// A compute slice of a record that is too large for memory: appended to from its start to its end,
/// hashed and written on the way.
final class RecordStream {
  /// Bytes that are written at once.
  static let bufferBytes = 4 << 20

  private let buffer: UnsafeMutableRawBufferPointer
  private let write: (UnsafeRawBufferPointer, Int) throws -> Void
  private let quarterBytes: Int
  private let seeds: [UInt64]
  private let end: Int
  private var filled = 0
  /// Bytes of the record before the buffer.
  private var position: Int
  private var quarter: XXH3Stream64?
  /// Checksums of the quarters that are complete.
  private(set) var checksums: [UInt64] = []

  /// A stream of the bytes from `range.lowerBound` to `range.upperBound` of a record, whole quarters.
  /// - Parameters:
  ///   - range: The bytes.
  ///   - quarterBytes: Bytes of a quarter.
  ///   - seeds: Of the quarters in the range.
  ///   - buffer: ``bufferBytes`` of memory, page-aligned, which the stream uses until it ends.
  ///   - write: Takes whole pages and their offset in the record.
  init(
    _ range: Range<Int>, quarterBytes: Int, seeds: [UInt64],
    buffer: UnsafeMutableRawBufferPointer,
    write: @escaping (UnsafeRawBufferPointer, Int) throws -> Void
  ) {
    precondition(seeds.count * quarterBytes == range.count && buffer.count == Self.bufferBytes)
    self.quarterBytes = quarterBytes
    self.seeds = seeds
    self.buffer = buffer
    self.write = write
    position = range.lowerBound
    end = range.upperBound
  }

  /// Appends `bytes`.
  func append(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while !rest.isEmpty {
      let count = min(rest.count, room)
      buffer.part(filled..<filled + count).copyMemory(from: rest.part(0..<count))
      try advance(count)
      rest = rest.part(count..<rest.count)
    }
  }

  /// Appends zeros up to the end.
  func finish() throws {
    while position + filled < end {
      let count = min(room, end - position - filled)
      buffer.part(filled..<filled + count).initializeMemory(as: UInt8.self, repeating: 0)
      try advance(count)
    }
  }

  /// Bytes up to the end of the buffer or of the quarter.
  private var room: Int {
    min(buffer.count, (position / quarterBytes + 1) * quarterBytes - position) - filled
  }

  private func advance(_ count: Int) throws {
    filled += count
    guard room == 0 else { return }
    let bytes = UnsafeRawBufferPointer(buffer.part(0..<filled))
    let hash = quarter ?? XXH3Stream64(seed: seeds[checksums.count])
    quarter = hash
    hash.update(bytes)
    try write(bytes, position)
    position += filled
    filled = 0
    guard position % quarterBytes == 0 else { return }
    checksums.append(hash.value)
    quarter = nil
  }
}
