/// A metadata string, byte for byte as in the file.
///
/// GGUF strings should be UTF-8, but tokens of byte-level vocabularies may not be; ``bytes`` is what
/// the file says, ``description`` the text with ill-formed parts replaced by U+FFFD.
/// Equality is equality of bytes. A copy shares the bytes of the header that it came from.
public struct GGUFString: Sendable, Hashable {
  let storage: ByteStorage
  let range: Range<Int>

  init(storage: ByteStorage, range: Range<Int>) {
    self.storage = storage
    self.range = range
  }

  /// A string of these bytes, which need not be UTF-8.
  public init(bytes: [UInt8]) {
    self.init(storage: ByteStorage(bytes), range: 0..<bytes.count)
  }

  /// The UTF-8 of `text`.
  public init(_ text: some StringProtocol) {
    self.init(bytes: Array(text.utf8))
  }

  /// Length in bytes.
  public var byteCount: Int { range.count }

  /// The bytes, valid while the string is.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = storage.span.extracting(range)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// A copy of the bytes.
  public var byteArray: [UInt8] {
    unsafe bytes.withUnsafeBytes { unsafe Array($0) }
  }

  /// Whether the bytes are the same.
  public static func == (left: GGUFString, right: GGUFString) -> Bool {
    guard left.byteCount == right.byteCount else { return false }
    return unsafe left.bytes.withUnsafeBytes { first in
      unsafe right.bytes.withUnsafeBytes { second in unsafe first.elementsEqual(second) }
    }
  }

  /// Hashes the bytes.
  public func hash(into hasher: inout Hasher) {
    unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
  }
}

extension GGUFString: ExpressibleByStringLiteral, CustomStringConvertible {
  /// The UTF-8 of a literal.
  public init(stringLiteral value: String) { self.init(value) }

  /// The text, ill-formed UTF-8 replaced by U+FFFD.
  public var description: String { storage.text(range) }
}
