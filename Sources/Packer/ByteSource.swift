internal import FileIO

/// The bytes of a source shard: a file's, or what a generator makes of them.
///
/// The same range always gives the same bytes; any thread may read.
protocol ByteSource: Sendable {
  /// Fills `buffer` with the bytes from `offset`; throws where there are fewer.
  func readExactly(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws
}

extension File: ByteSource {}
