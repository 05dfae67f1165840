/// A metadata array: elements of one type, kept in their encoding and decoded as they are visited.
///
/// Visiting all elements is O(bytes); an array of arrays costs that for each level of nesting.
public struct GGUFArray: Sendable, Equatable {
  /// The type of every element.
  public let elementType: GGUFValueType
  /// Number of elements.
  public let count: Int
  let storage: ByteStorage
  let range: Range<Int>

  init(elementType: GGUFValueType, count: Int, storage: ByteStorage, range: Range<Int>) {
    self.elementType = elementType
    self.count = count
    self.storage = storage
    self.range = range
  }

  /// An array of `elements`, all of `elementType`. Traps when one is of another type.
  public init(of elementType: GGUFValueType, _ elements: some Sequence<GGUFValue>) {
    var bytes: [UInt8] = []
    var count = 0
    for element in elements {
      precondition(element.type == elementType, "\(element) in an array of \(elementType)")
      element.encode(to: &bytes)
      count += 1
    }
    self.init(
      elementType: elementType, count: count, storage: ByteStorage(bytes), range: 0..<bytes.count)
  }

  /// An array of the UTF-8 of `strings`.
  public init(strings: some Sequence<String>) {
    var bytes: [UInt8] = []
    var count = 0
    for string in strings {
      bytes.appendString(string)
      count += 1
    }
    self.init(
      elementType: .string, count: count, storage: ByteStorage(bytes), range: 0..<bytes.count)
  }

  /// An array of 32-bit integers, the type of token types and per-layer counts.
  public init(int32 values: some Sequence<Int32>) {
    self.init(of: .int32, values.lazy.map { .int32($0) })
  }

  /// An array of 32-bit floating-point numbers, the type of token scores.
  public init(float32 values: some Sequence<Float>) {
    self.init(of: .float32, values.lazy.map { .float32($0) })
  }

  /// Whether type, number and encoding of the elements are the same.
  public static func == (left: GGUFArray, right: GGUFArray) -> Bool {
    guard left.elementType == right.elementType, left.count == right.count else { return false }
    return GGUFString(storage: left.storage, range: left.range)
      == GGUFString(storage: right.storage, range: right.range)
  }
}

extension GGUFArray: Sequence {
  /// Decodes one element after the other.
  public struct Iterator: IteratorProtocol {
    private let array: GGUFArray
    private var offset: Int
    private var remaining: Int

    init(_ array: GGUFArray) {
      self.array = array
      offset = array.range.lowerBound
      remaining = array.count
    }

    /// The next element, or nil after the last.
    public mutating func next() -> GGUFValue? {
      guard remaining > 0 else { return nil }
      remaining -= 1
      return GGUFValue(array.elementType, in: array.storage, at: &offset)
    }
  }

  /// An iterator before the first element.
  public func makeIterator() -> Iterator { Iterator(self) }

  /// The exact number of elements.
  public var underestimatedCount: Int { count }
}

// MARK: Encoding

extension GGUFArray {
  /// Decodes the array at `offset` (element type, count, elements) and moves `offset` past it.
  init?(in storage: ByteStorage, at offset: inout Int) {
    guard let raw = storage.load(UInt32.self, at: offset), let type = GGUFValueType(rawValue: raw),
      let claimed = storage.load(UInt64.self, at: offset + 4)
    else { return nil }
    let start = offset + 12
    let left = storage.count - start
    guard claimed <= UInt64(left / type.minimumByteCount) else { return nil }
    let count = Int(claimed)
    var end = start
    if let width = type.byteCount {
      end += count * width
    } else if type == .string {
      guard storage.skipStrings(count, limit: .max, at: &end) == count else { return nil }
    } else {
      for _ in 0..<count {
        guard GGUFArray(in: storage, at: &end) != nil else { return nil }
      }
    }
    offset = end
    self.init(elementType: type, count: count, storage: storage, range: start..<end)
  }

  /// Appends element type, count and elements.
  func encode(to bytes: inout [UInt8]) {
    bytes.appendLittleEndian(elementType.rawValue)
    bytes.appendLittleEndian(UInt64(count))
    unsafe storage.span.extracting(range).withUnsafeBytes {
      unsafe bytes.append(contentsOf: $0)
    }
  }
}
