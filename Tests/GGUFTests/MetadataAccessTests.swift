import GGUF
import GGUFTestSupport
import Testing

/// Values by key and type.
@Suite struct MetadataAccessTests {
  private static let scalars: [GGUFValue] = [
    .uint8(1), .int8(1), .uint16(1), .int16(1), .uint32(1), .int32(1), .float32(1), .bool(true),
    .string("1"), .array(GGUFArray(int32: [1])), .uint64(1), .int64(1), .float64(1),
  ]

  /// Runs `body` and tells whether it gave a value, failed with `.wrongType`, or anything else.
  private func outcome<T>(_ body: () throws -> T?) throws -> Bool? {
    var value: T?
    let error = try ggufError { value = try body() }
    if let error {
      #expect(error.code == .wrongType, "\(error)")
      return false
    }
    return value == nil ? nil : true
  }

  @Test("V06 a scalar is given out as the type it has and as no other", arguments: scalars)
  func scalarConfusion(value: GGUFValue) throws {
    var metadata = GGUFMetadata()
    metadata.set(value, for: "k")
    let type = value.type
    let isFloat = type == .float32 || type == .float64
    #expect(try outcome { try metadata.string("k") } == (type == .string))
    #expect(try outcome { try metadata.optionalString("k") } == (type == .string))
    #expect(try outcome { try metadata.unsigned("k") } == type.isInteger)
    #expect(try outcome { try metadata.optionalUnsigned("k") } == type.isInteger)
    #expect(try outcome { try metadata.integer("k") } == type.isInteger)
    #expect(try outcome { try metadata.count("k", atMost: 9) } == type.isInteger)
    #expect(try outcome { try metadata.float("k") } == isFloat)
    #expect(try outcome { try metadata.optionalFloat("k") } == isFloat)
    #expect(try outcome { try metadata.bool("k") } == (type == .bool))
    #expect(try outcome { try metadata.optionalBool("k") } == (type == .bool))
    #expect(try outcome { try metadata.strings("k") } == false)
    #expect(try outcome { try metadata.integers("k") } == (type == .array))
    #expect(try outcome { try metadata.floats("k") } == false)
    #expect(try outcome { try metadata.bools("k") } == false)
  }

  @Test(
    "V06 an array is given out as the element type it has, an empty one too", arguments: scalars)
  func arrayConfusion(value: GGUFValue) throws {
    for count in 0...2 {
      var metadata = GGUFMetadata()
      let array = GGUFArray(of: value.type, repeatElement(value, count: count))
      metadata.set(.array(array), for: "k")
      let type = value.type
      let isFloat = type == .float32 || type == .float64
      #expect(try outcome { try metadata.strings("k") } == (type == .string))
      #expect(try outcome { try metadata.optionalByteStrings("k") } == (type == .string))
      #expect(try outcome { try metadata.integers("k") } == type.isInteger)
      #expect(try outcome { try metadata.floats("k") } == isFloat)
      #expect(try outcome { try metadata.bools("k") } == (type == .bool))
      #expect(try outcome { try metadata.string("k") } == false)
      #expect(try outcome { try metadata.unsigned("k") } == false)
      #expect(try outcome { try metadata.float("k") } == false)
      #expect(try outcome { try metadata.bool("k") } == false)
    }
  }

  @Test("errors name the file, the key, the expected type and the found one")
  func messages() throws {
    var metadata = GGUFMetadata(path: "m.gguf")
    metadata.set(.string("x"), for: "n")
    metadata.set(.array(GGUFArray(strings: ["a", "b"])), for: "a")
    metadata.set(.int32(-1), for: "negative")
    let cases: [(() throws -> Void, String)] = [
      (
        { _ = try metadata.unsigned("n") },
        "m.gguf: metadata key 'n': expected an integer from 0, found string"
      ),
      (
        { _ = try metadata.bools("a") },
        "m.gguf: metadata key 'a': expected an array of bools, found array of 2 x string"
      ),
      (
        { _ = try metadata.unsigned("negative") },
        "m.gguf: metadata key 'negative': expected an integer from 0, found int32 -1"
      ),
      (
        { _ = try metadata.string("none\u{1B}[2J") },
        "m.gguf: metadata key 'none\\u{1b}[2J': expected a string, found no such key"
      ),
    ]
    for (body, message) in cases { #expect(try ggufError(body)?.description == message) }
    #expect(try metadata.optionalUnsigned("none") == nil)
    #expect(try metadata.optionalStrings("none") == nil)
  }

  @Test("V08 no integer is narrowed: what does not fit is an error")
  func narrowing() throws {
    var metadata = GGUFMetadata()
    let values: [(GGUFValue, unsigned: UInt64?, signed: Int64?)] = [
      (.uint64(.max), .max, nil), (.int64(.min), nil, .min), (.uint64(1 << 63), 1 << 63, nil),
      (.uint32(.max), 4_294_967_295, 4_294_967_295), (.int32(.min), nil, -2_147_483_648),
      (.int8(-1), nil, -1), (.uint8(255), 255, 255),
    ]
    for (value, unsigned, signed) in values {
      metadata.set(value, for: "k")
      metadata.set(.array(GGUFArray(of: value.type, [value])), for: "a")
      #expect((try? metadata.unsigned("k")) == unsigned)
      #expect((try? metadata.integer("k")) == signed)
      #expect((try? metadata.integers("a")) == signed.map { [$0] })
    }
  }

  @Test("V08 tokens of any bytes survive, byte for byte")
  func tokenBytes() throws {
    var random = RandomSource(seed: 8)
    let tokens = (0..<2_000).map { _ in
      let length = Int.random(in: 0...12, using: &random)
      return (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
    var metadata = GGUFMetadata()
    let values = tokens.map { GGUFValue.string(GGUFString(bytes: $0)) }
    metadata.set(.array(GGUFArray(of: .string, values)), for: "tokens")
    let bytes = byteArray(try GGUFWriter(metadata: metadata).layout().header.bytes)
    let read = try parseHeader(bytes).metadata
    #expect(try read.byteStrings("tokens").map(\.byteArray) == tokens)
    #expect(try read.strings("tokens") == tokens.map { String(decoding: $0, as: UTF8.self) })
  }

  @Test("strings are equal when their bytes are, whatever they look like")
  func stringEquality() {
    #expect(GGUFString("\u{E9}") != GGUFString("e\u{301}"))
    #expect(GGUFString(bytes: [0xFF]) != GGUFString(bytes: [0xFE]))
    #expect(GGUFString(bytes: [0xFF]).description == "\u{FFFD}")
    #expect(Set([GGUFString("a"), GGUFString("a"), GGUFString("")]).count == 2)
  }

  @Test("setting keeps the place of a key and removing closes the gap")
  func editing() {
    var metadata = GGUFMetadata()
    for key in ["a", "b", "c"] { metadata.set(.string("x"), for: key) }
    metadata.set(.bool(true), for: "b")
    metadata.remove("a")
    metadata.remove("none")
    #expect(Array(metadata.keys) == ["b", "c"])
    #expect(metadata["b"] == .bool(true))
    #expect(metadata["c"] == .string("x"))
    #expect(metadata["a"] == nil)
  }
}
