/// A position in a header, for messages: `metadata key 3 'general.name' element 7 length`.
struct HeaderField: CustomStringConvertible {
  enum Section: String {
    case header
    case metadataKey = "metadata key"
    case tensor
  }

  var section: Section
  var index = 0
  var name: String?
  var element: Int?
  var part = ""
  /// Whether the length of the string is meant, not its bytes.
  var isLength = false

  static func header(_ part: String) -> HeaderField {
    HeaderField(section: .header, part: part)
  }

  func callAsFunction(_ part: String, element: Int? = nil) -> HeaderField {
    var field = self
    field.part = part
    field.element = element ?? self.element
    return field
  }

  var length: HeaderField {
    var field = self
    field.isLength = true
    return field
  }

  var description: String {
    if section == .header { return part }
    var text = "\(section.rawValue) \(index)"
    if let name { text += " \(name.quotedForMessage)" }
    if let element { text += " element \(element)" }
    if !part.isEmpty { text += " " + part }
    return isLength ? text + " length" : text
  }
}

/// Reads a header's fields in order and brings in more of the file as they need it.
///
/// Every read is held against the length of the file first; nothing is allocated for bytes that the
/// file does not have.
@safe struct HeaderReader {
  /// Reads the file at an offset until the buffer is full or the file ends, and returns the number
  /// of bytes read.
  typealias Source = (UnsafeMutableRawBufferPointer, UInt64) throws -> Int

  let path: String
  let fileSize: UInt64
  let storage: ByteStorage
  private(set) var offset = 0
  /// Header bytes that can exist: the length of the file up to the limit of a header.
  private let limit: Int
  /// Where further bytes come from; nil when all that there are have been given.
  private let source: Source?
  private var step = HeaderReader.firstStep

  /// Bytes of the first read: most headers without a vocabulary.
  private static let firstStep = 1 << 20
  /// Bytes of later reads at most; they bound what is read past the end of a header.
  private static let lastStep = 8 << 20

  init(path: String, fileSize: UInt64, source: @escaping Source) {
    self.path = path
    self.fileSize = fileSize
    unsafe self.source = source
    storage = ByteStorage()
    limit = Int(min(fileSize, UInt64(GGUFLimits.headerByteCount)))
  }

  init(bytes: RawSpan, path: String, fileSize: UInt64) throws {
    self.path = path
    self.fileSize = fileSize
    unsafe source = nil
    let present = min(UInt64(bytes.byteCount), fileSize, UInt64(GGUFLimits.headerByteCount))
    limit = Int(present)
    storage = try ByteStorage(copying: bytes.extracting(0..<limit))
  }

  /// Bytes of the header that may still follow.
  var remaining: Int { limit - offset }

  /// Takes the next `count` bytes.
  /// - Returns: Where they lie in ``storage``.
  mutating func take(_ count: UInt64, _ field: HeaderField) throws -> Range<Int> {
    guard count <= UInt64(remaining) else { throw endOfBytes(wanted: count, field) }
    let range = offset..<offset + Int(count)
    if range.upperBound > storage.count { try load(upTo: range.upperBound, field) }
    offset = range.upperBound
    return range
  }

  /// Takes a little-endian integer.
  mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type, _ field: HeaderField
  ) throws -> T {
    let start = offset
    _ = try take(UInt64(MemoryLayout<T>.size), field)
    guard let value = storage.load(T.self, at: start) else {
      throw endOfBytes(wanted: UInt64(MemoryLayout<T>.size), field)
    }
    return value
  }

  /// Takes a length of at most `limit` and that many bytes.
  /// - Returns: Where the bytes lie in ``storage``.
  mutating func string(limit: Int, _ field: HeaderField) throws -> Range<Int> {
    let start = offset
    let length = try integer(UInt64.self, field.length)
    guard length <= UInt64(limit) else {
      throw failure(
        .limitExceeded, at: start, field.length, expected: "at most \(limit) bytes",
        found: "\(length)")
    }
    return try take(length, field)
  }

  /// Takes strings of at most `limit` bytes, as many of the next `count` as are loaded and sound.
  /// - Returns: How many were taken. The next one needs ``string(limit:_:)``, which loads more or
  ///   says what is wrong with it.
  mutating func loadedStrings(_ count: Int, limit: Int) -> Int {
    storage.skipStrings(count, limit: limit, at: &offset)
  }

  /// Takes a string that must be UTF-8.
  mutating func text(limit: Int, _ field: HeaderField) throws -> String {
    let range = try string(limit: limit, field)
    guard let text = storage.validText(range) else {
      throw failure(
        .invalidUTF8, at: range.lowerBound, field, expected: "UTF-8",
        found: "ill-formed bytes in \(storage.text(range).quotedForMessage)")
    }
    return text
  }

  /// An error about the field at `start`.
  func failure(
    _ code: GGUFError.Code, at start: Int, _ field: HeaderField, expected: String, found: String,
    advice: String? = nil
  ) -> GGUFError {
    GGUFError(
      code, path: path, offset: UInt64(start), field: field.description, expected: expected,
      found: found, advice: advice)
  }

  private func endOfBytes(wanted: UInt64, _ field: HeaderField) -> GGUFError {
    let unit = wanted == 1 ? "byte" : "bytes"
    if limit == GGUFLimits.headerByteCount, UInt64(limit) < fileSize {
      return failure(
        .limitExceeded, at: offset, field,
        expected: "a header of at most \(limit) bytes", found: "\(wanted) \(unit) more",
        advice: "the file is damaged or not a model")
    }
    return failure(
      .truncated, at: offset, field, expected: "\(wanted) \(unit)", found: "\(remaining) left",
      advice: "the file is cut short or the length is damaged")
  }

  private mutating func load(upTo end: Int, _ field: HeaderField) throws {
    while storage.count < end {
      let before = storage.count
      let count = min(step, limit - before)
      step = min(step * 2, Self.lastStep)
      if let source = unsafe source {
        try unsafe storage.append(count: count) { room in
          try unsafe source(room, UInt64(before))
        }
      }
      guard storage.count > before else {
        throw failure(
          .truncated, at: offset, field, expected: "\(fileSize) bytes of file",
          found: "\(before)", advice: "the file became shorter while it was read")
      }
    }
  }
}
