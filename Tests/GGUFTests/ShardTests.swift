import FileIO
import GGUF
import GGUFTestSupport
import Tensors
import Testing

/// Models in several files.
@Suite struct ShardTests {
  private static let names = (1...4).map { "qwen35moe-256-Q4_K_M-0000\($0)-of-00004.gguf" }

  /// Puts the headers of a real split model into `directory`, each in a file of its full length.
  private func addModel(to directory: TemporaryDirectory) throws -> [String] {
    try Self.names.map { name in
      let bytes = try Fixtures.bytes("gguf/models/" + name)
      let tensors = try parseHeader(bytes, fileSize: 1 << 40).tensors
      let end = tensors.map { $0.offset + $0.byteCount }.max()
      return try directory.add(name, bytes, size: end)
    }
  }

  @Test("any file of a split model opens all of it", arguments: 0..<4)
  func anyShard(given: Int) throws {
    let directory = try TemporaryDirectory()
    let paths = try addModel(to: directory)
    let file = try GGUFFile.open(paths[given])
    #expect(file.shards.map(\.path) == paths)
    #expect(file.tensors.count == 76)
    #expect(try file.metadata.string("general.architecture") == "qwen35moe")
    #expect(file.tensors.map(\.shard) == file.tensors.map(\.shard).sorted())
    #expect(Set(file.tensors.map(\.shard)) == [0, 1, 2, 3])
    #expect(file.tensor(named: "token_embd.weight")?.shard == 0)
    #expect(file.tensor(named: "none") == nil)
    // Headers that a pack kept make the same model.
    let again = try GGUFFile(shards: file.shards)
    #expect(again.tensors == file.tensors)
  }

  @Test("a missing file is named")
  func missing() throws {
    let directory = try TemporaryDirectory()
    var paths: [String] = []
    for name in Self.names where name != Self.names[2] {
      paths.append(
        try directory.add(name, Fixtures.bytes("gguf/models/" + name), size: 1 << 30))
    }
    for path in paths {
      let error = try ggufError { _ = try GGUFFile.open(path) }
      #expect(error?.code == .missingShard)
      #expect(
        error?.description == directory.path + "/" + Self.names[2]
          + ": shard 3 of 4: no such file; put all files of the model into one directory")
    }
  }

  /// A shard with these split keys and one tensor.
  private func shard(
    number: GGUFValue?, count: GGUFValue?, total: GGUFValue?, tensor: String,
    architecture: String? = nil
  ) throws -> (bytes: [UInt8], size: UInt64) {
    var metadata = GGUFMetadata()
    if let architecture {
      metadata.set(.string(GGUFString(architecture)), for: "general.architecture")
    }
    if let number { metadata.set(number, for: "split.no") }
    if let count { metadata.set(count, for: "split.count") }
    if let total { metadata.set(total, for: "split.tensors.count") }
    var writer = GGUFWriter(metadata: metadata)
    writer.add(tensor, type: .i8, dimensions: [32])
    let layout = try writer.layout()
    return (byteArray(layout.header.bytes), layout.fileSize)
  }

  /// Opens a model of two shards.
  private func openPair(
    _ first: (bytes: [UInt8], size: UInt64), _ second: (bytes: [UInt8], size: UInt64),
    names: [String] = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"], given: Int = 0
  ) throws -> GGUFError? {
    let directory = try TemporaryDirectory()
    let paths = try zip(names, [first, second]).map {
      try directory.add($0, $1.bytes, size: $1.size)
    }
    return try ggufError { _ = try GGUFFile.open(paths[given]) }
  }

  @Test("the split keys may have any integer type")
  func keyTypes() throws {
    let first = try shard(
      number: .uint8(0), count: .int64(2), total: .uint16(2), tensor: "a", architecture: "x")
    let second = try shard(number: .int32(1), count: .uint16(2), total: nil, tensor: "b")
    #expect(try openPair(first, second) == nil)
  }

  @Test("files that contradict each other or their names are refused with the key at fault")
  func contradictions() throws {
    let first = try shard(
      number: .uint16(0), count: .uint16(2), total: .int32(2), tensor: "a", architecture: "x")
    let second = try shard(
      number: .uint16(1), count: .uint16(2), total: .int32(2), tensor: "b", architecture: "x")
    #expect(try openPair(first, second) == nil)
    let cases: [((bytes: [UInt8], size: UInt64), GGUFError.Code, String)] = [
      (
        try shard(number: .uint16(0), count: .uint16(2), total: .int32(2), tensor: "b"),
        .shardMismatch, "'split.no': expected 1 for file 2 of 2, found 0"
      ),
      (
        try shard(number: .uint16(1), count: .uint16(3), total: .int32(2), tensor: "b"),
        .shardMismatch, "'split.count': expected 2 for file 2 of 2, found 3"
      ),
      (
        try shard(number: nil, count: .uint16(2), total: .int32(2), tensor: "b"),
        .shardMismatch, "'split.no': expected 1 for file 2 of 2, found no such key"
      ),
      (
        try shard(number: .string("1"), count: .uint16(2), total: .int32(2), tensor: "b"),
        .wrongType, "'split.no': expected an integer from 0, found string"
      ),
      (
        try shard(number: .int32(-1), count: .uint16(2), total: .int32(2), tensor: "b"),
        .invalidValue, "'split.no': expected an integer from 0, found int32 -1"
      ),
      (
        try shard(number: .uint16(1), count: .uint16(2), total: .int32(3), tensor: "b"),
        .shardMismatch,
        "'split.tensors.count': expected 2, the tensors of all 2 files, found 3"
      ),
      (
        try shard(
          number: .uint16(1), count: .uint16(2), total: .int32(2), tensor: "b",
          architecture: "y"),
        .shardMismatch, "'general.architecture': expected 'x' as in"
      ),
      (
        try shard(number: .uint16(1), count: .uint16(2), total: .int32(2), tensor: "a"),
        .duplicateName, "tensor 'a': expected every name once in the model"
      ),
    ]
    for (bad, code, words) in cases {
      for given in 0..<2 {
        let error = try openPair(first, bad, given: given)
        #expect(error?.code == code)
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "accepted")")
        #expect(error?.path.hasSuffix("m-00002-of-00002.gguf") == true)
      }
    }
    let silent = try shard(
      number: .uint16(0), count: .uint16(2), total: nil, tensor: "a", architecture: "x")
    #expect(try openPair(silent, second)?.code == .missingKey)
  }

  @Test(
    "a split file under another name says how it must be called",
    arguments: [
      "m.gguf", "m-1-of-2.gguf", "m-00001-of-00002.GGUF", "m-00000-of-00002.gguf",
      "m-00003-of-00002.gguf", "m-0000\u{661}-of-00002.gguf",
    ])
  func otherNames(name: String) throws {
    let first = try shard(number: .uint16(0), count: .uint16(2), total: .int32(2), tensor: "a")
    let error = try openPair(first, first, names: [name, "x.gguf"])
    #expect(error?.code == .shardMismatch)
    #expect(error?.description.contains("a name that ends in -NNNNN-of-00002.gguf") == true)
  }

  @Test("names and keys must agree for the given file as well")
  func givenName() throws {
    let first = try shard(number: .uint16(0), count: .uint16(2), total: .int32(2), tensor: "a")
    let names = ["m-00002-of-00002.gguf", "m-00001-of-00002.gguf"]
    #expect(try openPair(first, first, names: names)?.message.contains("found 0") == true)
    let plain = try shard(number: nil, count: nil, total: nil, tensor: "a")
    let error = try openPair(plain, plain)
    #expect(error?.code == .shardMismatch)
    #expect(error?.field == "metadata key 'split.count'")
  }

  @Test("a merged file, whose split.count is 0 or 1, is one file", arguments: [0, 1])
  func merged(count: UInt16) throws {
    let file = try shard(
      number: .uint16(0), count: .uint16(count), total: .int32(9), tensor: "a")
    let directory = try TemporaryDirectory()
    for name in ["merged.gguf", "m-00001-of-00001.gguf"] {
      let path = try directory.add(name, file.bytes, size: file.size)
      #expect(try GGUFFile.open(path).tensors.count == 1)
    }
  }

  @Test("a split.count beyond all names is refused without looking for files")
  func hugeCount() throws {
    let file = try shard(number: .uint16(0), count: .uint64(.max), total: .int32(1), tensor: "a")
    let error = try openPair(file, file)
    #expect(error?.code == .shardMismatch)
    #expect(
      error?.description.contains("expected 2 for file 1 of 2, found 18446744073709551615") == true)
    let directory = try TemporaryDirectory()
    let path = try directory.add("m.gguf", file.bytes, size: file.size)
    #expect(try ggufError { _ = try GGUFFile.open(path) }?.code == .shardMismatch)
  }
}
