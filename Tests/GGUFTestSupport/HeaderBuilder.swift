package import GGUF
internal import Tensors

/// Puts a header together field by field, with any claim that a test wants to make.
package struct HeaderBuilder {
  package var bytes: [UInt8] = []

  /// The fixed part: magic, version and the two counts.
  package init(
    magic: String = "GGUF", version: UInt32 = 3, tensors: UInt64 = 0, metadata: UInt64 = 0
  ) {
    bytes = Array(magic.utf8)
    bytes.appendLittleEndian(version)
    bytes.appendLittleEndian(tensors)
    bytes.appendLittleEndian(metadata)
  }

  /// Where the next field goes.
  package var offset: UInt64 { UInt64(bytes.count) }

  package mutating func integer(_ value: some FixedWidthInteger) {
    bytes.appendLittleEndian(value)
  }

  /// A string with its length, or with a false one.
  package mutating func string(_ text: String, claimedLength: UInt64? = nil) {
    string(Array(text.utf8), claimedLength: claimedLength)
  }

  /// A string of any bytes with its length, or with a false one.
  package mutating func string(_ text: [UInt8], claimedLength: UInt64? = nil) {
    integer(claimedLength ?? UInt64(text.count))
    bytes += text
  }

  /// A key and the number of its value's type; the value comes next.
  package mutating func key(_ key: String, _ type: GGUFValueType) {
    string(key)
    integer(type.rawValue)
  }

  /// The start of an array value; the elements come next.
  package mutating func array(_ type: GGUFValueType, count: UInt64) {
    integer(type.rawValue)
    integer(count)
  }

  /// A tensor info.
  package mutating func tensor(
    _ name: String, type: UInt32 = TensorType.i8.id, dimensions: [UInt64], offset: UInt64 = 0
  ) {
    string(name)
    integer(UInt32(dimensions.count))
    for dimension in dimensions { integer(dimension) }
    integer(type)
    integer(offset)
  }

  /// Zeros up to a multiple of `alignment`.
  package mutating func pad(to alignment: Int = 32) {
    while bytes.count % alignment != 0 { bytes.append(0) }
  }

  /// Parses what there is as the start of a file of `fileSize` bytes (by default no more than that).
  package func parse(fileSize: UInt64? = nil) throws -> GGUFHeader {
    try parseHeader(bytes, fileSize: fileSize)
  }
}

/// Parses `bytes` as the start of a file `test.gguf` of `fileSize` bytes (by default no more).
package func parseHeader(_ bytes: [UInt8], fileSize: UInt64? = nil) throws -> GGUFHeader {
  try GGUFHeader.parse(
    bytes.span.bytes, path: "test.gguf", fileSize: fileSize ?? UInt64(bytes.count))
}

/// The error that `body` throws, or nil when it throws none.
package func ggufError(_ body: () throws -> Void) throws -> GGUFError? {
  do {
    try body()
    return nil
  } catch let error as GGUFError {
    return error
  }
}

/// A small header with every metadata type, nested arrays and tensors of several types, and the
/// length of the file that it belongs to.
package func sampleHeader() throws -> (bytes: [UInt8], fileSize: UInt64) {
  var metadata = GGUFMetadata()
  metadata.set(.string("llama"), for: "general.architecture")
  metadata.set(.uint8(255), for: "a.u8")
  metadata.set(.int8(-128), for: "a.i8")
  metadata.set(.uint16(65535), for: "a.u16")
  metadata.set(.int16(-32768), for: "a.i16")
  metadata.set(.uint32(.max), for: "a.u32")
  metadata.set(.int32(.min), for: "a.i32")
  metadata.set(.float32(1.5), for: "a.f32")
  metadata.set(.bool(true), for: "a.bool")
  metadata.set(.uint64(.max), for: "a.u64")
  metadata.set(.int64(.min), for: "a.i64")
  metadata.set(.float64(-0.25), for: "a.f64")
  metadata.set(.string(GGUFString(bytes: [0x61, 0xFF, 0x00, 0xC3])), for: "a.bytes")
  metadata.set(.array(GGUFArray(strings: ["<s>", "", "\u{120}the"])), for: "a.tokens")
  metadata.set(.array(GGUFArray(int32: [1, -2, 3])), for: "a.types")
  metadata.set(.array(GGUFArray(float32: [0, -1000])), for: "a.scores")
  metadata.set(.array(GGUFArray(of: .bool, [.bool(true), .bool(false)])), for: "a.flags")
  let inner = GGUFArray(of: .uint8, [.uint8(7), .uint8(8)])
  let nested = GGUFArray(of: .array, [.array(inner), .array(GGUFArray(strings: ["x"]))])
  metadata.set(.array(nested), for: "a.nested")
  var writer = GGUFWriter(metadata: metadata, alignment: 8)
  writer.add("token_embd.weight", type: .q8_0, dimensions: [32, 3])
  writer.add("blk.0.ffn_gate_exps.weight", type: .iq3_XXS, dimensions: [256, 2, 2])
  writer.add("output_norm.weight", type: .f32, dimensions: [5])
  let layout = try writer.layout()
  return (byteArray(layout.header.bytes), layout.fileSize)
}

/// A copy of the bytes of `span`.
package func byteArray(_ span: RawSpan) -> [UInt8] {
  span.withUnsafeBytes { Array($0) }
}
