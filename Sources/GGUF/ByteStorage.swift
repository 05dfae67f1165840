internal import FileIO

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Bytes in GGUF encoding that metadata values point into: a header as it is in the file, or one
/// value that a program made.
///
/// Keeping values in their encoding makes them lossless and keeps arrays of millions of strings at
/// the size that they have in the file. Memory grows by `realloc`, which moves the pages of large
/// blocks instead of copying them, so growing never holds the bytes twice.
@safe final class ByteStorage: @unchecked Sendable {
  // Sendable: only the parser that made a storage appends to it, before it hands out any value.

  private var base: UnsafeMutableRawPointer?
  private(set) var count = 0

  init() {}

  /// A copy of `bytes`.
  init(copying bytes: RawSpan) throws {
    try unsafe append(count: bytes.byteCount) { target in
      unsafe bytes.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
      return target.count
    }
  }

  /// A copy of `bytes`. Traps when memory is out, as Swift's own collections do.
  init(_ bytes: [UInt8]) {
    do {
      try unsafe append(count: bytes.count) { target in
        unsafe target.copyBytes(from: bytes)
        return target.count
      }
    } catch { preconditionFailure("\(error)") }
  }

  deinit { unsafe free(base) }

  /// Adds room for `added` bytes and lets `fill` write to it.
  /// - Parameters:
  ///   - added: Room to make, in bytes.
  ///   - fill: Writes the new bytes and returns how many of them are there.
  /// - Throws: `.outOfMemory`, and what `fill` throws; the bytes are then as before.
  func append(
    count added: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws {
    guard added > 0 else { return }
    guard let grown = unsafe realloc(base, count + added) else {
      throw FileIOError(
        .outOfMemory, path: "memory",
        message: "the system refused \(count + added) bytes for a GGUF header")
    }
    unsafe base = grown
    let room = unsafe UnsafeMutableRawBufferPointer(start: grown + count, count: added)
    let filled = try unsafe fill(room)
    precondition(filled >= 0 && filled <= added)
    count += filled
  }

  /// Gives back the memory past the first `length` bytes.
  func trim(to length: Int) {
    precondition(length >= 0 && length <= count)
    count = length
    if length > 0, let smaller = unsafe realloc(base, length) { unsafe base = smaller }
  }

  /// All bytes; out-of-range access traps.
  var span: RawSpan {
    @_lifetime(borrow self)
    get {
      guard let base = unsafe base else { return RawSpan() }
      let span = unsafe RawSpan(_unsafeStart: base, byteCount: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The little-endian integer at `offset`, or nil when it is not wholly inside.
  func load<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: Int) -> T? {
    guard offset >= 0, count >= MemoryLayout<T>.size, offset <= count - MemoryLayout<T>.size
    else { return nil }
    return T(littleEndian: unsafe span.unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// Moves `offset` past up to `count` strings with their lengths, and stops before the first that
  /// is longer than `limit` or not wholly inside. Vocabularies have half a million of them.
  /// - Returns: How many were passed.
  func skipStrings(_ count: Int, limit: Int, at offset: inout Int) -> Int {
    let span = span
    let width = MemoryLayout<UInt64>.size
    var position = offset
    var skipped = 0
    while skipped < count, position <= span.byteCount - width {
      let length = UInt64(
        littleEndian: unsafe span.unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self))
      guard length <= UInt64(limit), length <= UInt64(span.byteCount - width - position) else {
        break
      }
      position += width + Int(length)
      skipped += 1
    }
    offset = position
    return skipped
  }

  /// The text in `range`, with ill-formed UTF-8 replaced by U+FFFD.
  func text(_ range: Range<Int>) -> String {
    unsafe span.extracting(range).withUnsafeBytes {
      unsafe String(decoding: $0, as: UTF8.self)
    }
  }

  /// The text in `range`, or nil when it is not UTF-8.
  func validText(_ range: Range<Int>) -> String? {
    unsafe span.extracting(range).withUnsafeBytes {
      unsafe String(validating: $0, as: UTF8.self)
    }
  }
}
