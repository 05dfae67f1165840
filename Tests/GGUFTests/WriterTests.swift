import FileIO
import GGUF
import GGUFTestSupport
import Tensors
import Testing

/// What the writer writes, the reader reads.
@Suite struct WriterTests {
  @Test("a header with every value type is read back as it was")
  func roundTrip() throws {
    let (bytes, fileSize) = try sampleHeader()
    let header = try parseHeader(bytes, fileSize: fileSize)
    #expect(violations(in: header, fileSize: fileSize) == [])
    #expect(header.version == 3 && header.alignment == 8)
    #expect(header.byteCount == UInt64(bytes.count))
    let metadata = header.metadata
    #expect(metadata["a.u64"] == .uint64(.max))
    #expect(metadata["a.i8"] == .int8(-128))
    #expect(try metadata.float("a.f64") == -0.25)
    #expect(try metadata.strings("a.tokens") == ["<s>", "", "\u{120}the"])
    #expect(try metadata.bools("a.flags") == [true, false])
    guard case .array(let nested)? = metadata["a.nested"] else {
      Issue.record("a.nested is not an array")
      return
    }
    #expect(nested.elementType == .array && nested.count == 2)
    #expect(
      Array(nested) == [
        .array(GGUFArray(of: .uint8, [.uint8(7), .uint8(8)])), .array(GGUFArray(strings: ["x"])),
      ])
  }

  @Test("the same input gives the same bytes")
  func determinism() throws {
    #expect(try sampleHeader().bytes == sampleHeader().bytes)
  }

  @Test("tensors follow each other at the alignment", arguments: [1, 32, 256, 4096, 1 << 20])
  func placement(alignment: UInt32) throws {
    var writer = GGUFWriter(alignment: alignment)
    writer.add("a", type: .i8, dimensions: [1])
    writer.add("b", type: .q6_K, dimensions: [256, 3])
    writer.add("c", type: .f32, dimensions: [1, 1, 1, 7])
    let layout = try writer.layout(shard: 4)
    var expected = layout.header.byteCount
    for tensor in layout.header.tensors {
      #expect(tensor.offset == expected && tensor.shard == 4)
      expected += (tensor.byteCount + UInt64(alignment) - 1) / UInt64(alignment) * UInt64(alignment)
    }
    #expect(layout.fileSize == expected)
    #expect(layout.header.byteCount % UInt64(alignment) == 0)
  }

  @Test("a written file holds each tensor's data in its place, zeros between")
  func writing() throws {
    let directory = try TemporaryDirectory()
    let file = try File.creating(directory.claim("w.gguf"))
    // What an earlier use of the file left must not show in the padding.
    try [UInt8](repeating: 0xEE, count: 4096).withUnsafeBytes { try file.write($0, at: 0) }
    var writer = GGUFWriter()
    writer.add("a", type: .i8, dimensions: [5])
    writer.add("b", type: .f32, dimensions: [9])
    let layout = try writer.write(to: file) { tensor, emit in
      let half = Int(tensor.byteCount / 2)
      let fill = UInt8(tensor.name.utf8.count) + (tensor.name == "a" ? 0 : 1)
      try emit([UInt8](repeating: fill, count: half).span.bytes)
      try emit([UInt8](repeating: fill, count: Int(tensor.byteCount) - half).span.bytes)
    }
    let read = try GGUFFile.open(file.path)
    #expect(read.tensors == layout.header.tensors)
    let size = try file.size()
    #expect(size == layout.fileSize)
    let data = try file.bytes(
      at: layout.header.byteCount, count: Int(size - layout.header.byteCount))
    let padded = { (value: UInt8, count: Int, total: Int) in
      [UInt8](repeating: value, count: count) + [UInt8](repeating: 0, count: total - count)
    }
    #expect(data == padded(1, 5, 32) + padded(2, 36, 64))
  }

  @Test("data that do not fill a tensor exactly are refused", arguments: [0, 4, 6])
  func wrongLength(count: Int) throws {
    let directory = try TemporaryDirectory()
    let file = try File.creating(directory.claim("w.gguf"))
    var writer = GGUFWriter()
    writer.add("a", type: .i8, dimensions: [5])
    let error = try ggufError {
      try writer.write(to: file) { _, emit in
        try emit([UInt8](repeating: 1, count: count).span.bytes)
      }
    }
    #expect(error?.code == .wrongDataLength)
    #expect(error?.message.hasPrefix("expected 5 bytes of data, found ") == true)
  }

  @Test("the writer refuses what the reader would")
  func refusals() throws {
    let tensors: [([(String, TensorType, [UInt64])], GGUFError.Code)] = [
      ([("a", .f32, [1]), ("a", .f32, [1])], .duplicateName),
      ([("", .f32, [1])], .invalidValue),
      ([(String(repeating: "n", count: 200), .f32, [1])], .limitExceeded),
      ([("a", .f32, [])], .invalidDimensions),
      ([("a", .f32, [1, 1, 1, 1, 1])], .invalidDimensions),
      ([("a", .f32, [0])], .invalidDimensions),
      ([("a", .q8_0, [33])], .invalidDimensions),
      ([("a", .f32, [1 << 62])], .invalidDimensions),
      ([("a", .i8, [1 << 62]), ("b", .i8, [1 << 62])], .limitExceeded),
    ]
    for (infos, code) in tensors {
      var writer = GGUFWriter()
      for (name, type, dimensions) in infos {
        writer.add(name, type: type, dimensions: dimensions)
      }
      #expect(try ggufError { _ = try writer.layout() }?.code == code)
    }
    var metadata = GGUFMetadata()
    var array = GGUFArray(of: .uint8, [])
    for _ in 0..<GGUFLimits.arrayDepth { array = GGUFArray(of: .array, [.array(array)]) }
    metadata.set(.array(array), for: "deep")
    #expect(
      try ggufError { _ = try GGUFWriter(metadata: metadata).layout() }?.code == .limitExceeded)
  }
}
