import GGUF
import GGUFTestSupport
import Tensors
import Testing

/// Counts, lengths and sizes that lie. The ids V01 to V09 name classes of vulnerabilities that were
/// found in other GGUF parsers.
@Suite struct HostileClaimTests {
  static let claims: [UInt64] = [
    0, 1, 1 << 31, 1 << 32, 1 << 63, .max, (1 << 63) - 1, .max / 8 + 1, .max / 12 + 1,
  ]

  @Test(
    "V01 a count of tensors or metadata is a claim, held against limits and bytes left",
    arguments: claims)
  func counts(claim: UInt64) throws {
    let empty = claim == 0
    let tensors = HeaderBuilder(tensors: claim)
    let metadata = HeaderBuilder(metadata: claim)
    for (header, offset) in [(tensors, 8), (metadata, 16)] {
      let error = try ggufError { _ = try header.parse() }
      #expect((error == nil) == empty)
      #expect(empty || error?.offset == UInt64(offset))
      #expect(empty || error?.code == (claim == 1 ? .truncated : .limitExceeded))
    }
  }

  @Test("V01 a string length is a claim, wherever the string is", arguments: claims)
  func stringLengths(claim: UInt64) throws {
    // One byte follows each length, so 0 and 1 are true or break what comes after.
    var key = HeaderBuilder(metadata: 1)
    key.string("k", claimedLength: claim)
    var value = HeaderBuilder(metadata: 1)
    value.key("k", .string)
    value.string("v", claimedLength: claim)
    var element = HeaderBuilder(metadata: 1)
    element.key("k", .array)
    element.array(.string, count: 1)
    element.string("v", claimedLength: claim)
    var name = HeaderBuilder(tensors: 1)
    name.string("w", claimedLength: claim)
    for header in [key, value, element, name] {
      var padded = header
      padded.pad()
      let error = try ggufError { _ = try padded.parse() }
      if claim > 1 {
        #expect(error?.code == .limitExceeded, "\(error?.description ?? "accepted")")
        #expect(error?.offset == header.offset - 9)
        #expect(error?.description.contains("found \(claim)") == true)
      }
    }
  }

  @Test("V01 an array count is a claim for every element type", arguments: GGUFValueType.allCases)
  func arrayCounts(type: GGUFValueType) throws {
    for claim in Self.claims {
      var header = HeaderBuilder(metadata: 1)
      header.key("k", .array)
      let offset = header.offset + 4
      header.array(type, count: claim)
      let error = try ggufError { _ = try header.parse() }
      #expect((error == nil) == (claim == 0))
      if claim > 0 {
        #expect(error?.code == (claim == 1 ? .truncated : .limitExceeded))
        #expect(error?.offset == offset)
      }
    }
  }

  @Test("V03 alignment is checked for its type, then for its range")
  func alignments() throws {
    let values: [(GGUFValue, Bool)] = [
      (.uint32(0), false), (.uint32(1), true), (.uint32(3), false), (.uint32(24), false),
      (.uint32(32), true), (.uint32(4096), true), (.uint32(1 << 20), true),
      (.uint32(1 << 21), false), (.uint32(1 << 31), false), (.uint32(.max), false),
      (.string("x"), false), (.uint64(32), false), (.int32(32), false), (.float32(32), false),
      (.bool(true), false), (.array(GGUFArray(of: .uint32, [.uint32(32)])), false),
    ]
    for (value, isValid) in values {
      var metadata = GGUFMetadata()
      metadata.set(value, for: "general.alignment")
      let writing = try ggufError { _ = try GGUFWriter(metadata: metadata).layout() }
      #expect((writing == nil) == isValid, "\(value)")
      #expect(isValid || writing?.code == .invalidAlignment)

      // The same value written under another name, then renamed, reaches the reader.
      var other = GGUFMetadata()
      other.set(value, for: "general.alignmenT")
      var bytes = byteArray(try GGUFWriter(metadata: other).layout().header.bytes)
      bytes[24 + 8 + 16] = UInt8(ascii: "t")
      let reading = try ggufError { _ = try parseHeader(bytes) }
      #expect((reading == nil) == isValid, "\(value)")
      #expect(isValid || (reading?.code == .invalidAlignment && reading?.offset == 53))
    }
  }

  @Test("V05 every string length that exceeds the bytes left is refused where it stands")
  func truncatedStrings() throws {
    let text = "abcdefgh"
    for kept in 0..<text.utf8.count {
      let part = String(text.prefix(kept))
      var key = HeaderBuilder(metadata: 1)
      key.string(part, claimedLength: 8)
      var value = HeaderBuilder(metadata: 1)
      value.key("k", .string)
      value.string(part, claimedLength: 8)
      var element = HeaderBuilder(metadata: 1)
      element.key("k", .array)
      element.array(.string, count: 2)
      element.string("")
      element.string(part, claimedLength: 8)
      var name = HeaderBuilder(tensors: 1)
      name.string(part, claimedLength: 8)
      for header in [value, element] {
        // Bytes of a longer buffer behind the end of the file must not be taken for the string.
        let error = try ggufError {
          _ = try parseHeader(header.bytes + Array(text.utf8), fileSize: header.offset)
        }
        #expect(error?.code == .truncated)
        #expect(error?.offset == header.offset - UInt64(kept))
        #expect(error?.message.contains("expected 8 bytes, found \(kept) left") == true)
      }
      #expect(try ggufError { _ = try key.parse() }?.code == .truncated)
      #expect(try ggufError { _ = try name.parse() }?.code == .truncated)
    }
  }

  @Test("V07 nothing has a fixed table: counts are capped with an error at the limit plus one")
  func caps() throws {
    var metadata = GGUFMetadata(path: "m.gguf")
    for name in ["block_count", "expert_count", "attention.head_count"] {
      metadata.set(.uint32(512), for: "at." + name)
      metadata.set(.uint32(513), for: "over." + name)
      #expect(try metadata.count("at." + name, atMost: 512) == 512)
      let error = try ggufError { _ = try metadata.count("over." + name, atMost: 512) }
      #expect(
        error?.description
          == "m.gguf: metadata key 'over.\(name)': expected an integer from 0 to 512, found 513")
    }
    for value: GGUFValue in [.int32(-1), .int64(.min), .uint64(.max), .uint32(.max)] {
      metadata.set(value, for: "k")
      #expect(try ggufError { _ = try metadata.count("k", atMost: 512) }?.code == .invalidValue)
    }
  }

  @Test("V07 the limits themselves are accepted and one more is refused")
  func limits() throws {
    func header(keyLength: Int) -> HeaderBuilder {
      var header = HeaderBuilder(metadata: 1)
      header.key(String(repeating: "k", count: keyLength), .uint8)
      header.integer(UInt8(0))
      return header
    }
    #expect(try header(keyLength: GGUFLimits.keyByteCount).parse().metadata.count == 1)
    #expect(throws: GGUFError.self) { try header(keyLength: GGUFLimits.keyByteCount + 1).parse() }

    func header(nameLength: Int) -> HeaderBuilder {
      var header = HeaderBuilder(tensors: 1)
      header.tensor(String(repeating: "n", count: nameLength), dimensions: [1])
      header.pad()
      return header
    }
    #expect(
      try header(nameLength: GGUFLimits.tensorNameByteCount).parse(fileSize: 1 << 20)
        .tensors.count == 1)
    #expect(throws: GGUFError.self) {
      try header(nameLength: GGUFLimits.tensorNameByteCount + 1).parse(fileSize: 1 << 20)
    }

    func header(depth: Int) -> HeaderBuilder {
      var header = HeaderBuilder(metadata: 1)
      header.key("k", .array)
      for _ in 1..<depth { header.array(.array, count: 1) }
      header.array(.uint8, count: 0)
      return header
    }
    #expect(try header(depth: GGUFLimits.arrayDepth).parse().metadata.count == 1)
    #expect(throws: GGUFError.self) { try header(depth: GGUFLimits.arrayDepth + 1).parse() }
    #expect(throws: GGUFError.self) { try header(depth: 100_000).parse() }
  }

  @Test("V07 metadata and tensors are accepted up to their limits")
  func manyEntries() throws {
    let entries = GGUFLimits.metadataCount
    let tensors = GGUFLimits.tensorCount
    var header = HeaderBuilder(tensors: UInt64(tensors), metadata: UInt64(entries))
    for index in 0..<entries {
      header.key("\(index)", .uint8)
      header.integer(UInt8(1))
    }
    for index in 0..<tensors {
      header.tensor("\(index)", dimensions: [32], offset: UInt64(index * 32))
    }
    header.pad()
    let parsed = try header.parse(fileSize: header.offset + UInt64(tensors * 32))
    #expect(parsed.metadata.count == entries && parsed.tensors.count == tensors)
    #expect(try parsed.metadata.unsigned("\(entries - 1)") == 1)
  }

  @Test("the bytes of all keys together are limited")
  func keyBytes() throws {
    let length = 65_000
    let count = GGUFLimits.keyByteCountTotal / length + 1
    var header = HeaderBuilder(metadata: UInt64(count))
    for index in 0..<count {
      header.key(String(index) + String(repeating: "k", count: length - 3), .uint8)
      header.integer(UInt8(1))
    }
    let error = try ggufError { _ = try header.parse() }
    #expect(error?.code == .limitExceeded)
    #expect(error?.message == "expected at most 4194304 bytes of keys, found more")
  }
}
