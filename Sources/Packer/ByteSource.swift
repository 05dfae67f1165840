internal import FileIO

/// The bytes of a source shard: a file's, or what a generator makes of them.
///
/// The same range always gives the same bytes; any thread may read.
protocol ByteSource: Sendable {
  /// Fills `buffer` with the bytes from `offset`; throws where there are fewer.
  func readExactly(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws

  /// When the file that the bytes come from was last written to, nanoseconds since 1970; 0 for none.
  var modified: Int64 { get }
}

extension File: ByteSource {}
