import GGUF
import GGUFTestSupport
import Tensors
import Testing

/// Files of the repository: good ones, bad ones and what fuzzing found worth keeping.
@Suite struct FixtureTests {
  @Test("every bad file is refused with the code, place and words that the table gives")
  func badFiles() throws {
    let rows = try Fixtures.text("bad/expected.tsv").split(separator: "\n").dropFirst()
    var listed: [String] = []
    for row in rows {
      let columns = row.split(separator: "\t").map(String.init)
      try #require(columns.count == 5, "\(row)")
      listed.append(columns[0])
      let error = try ggufError { _ = try GGUFFile.open(Fixtures.path("bad/" + columns[0])) }
      let description = error?.description ?? "accepted"
      #expect(error?.code.rawValue == columns[1], "\(columns[0]): \(description)")
      #expect(error?.offset == UInt64(columns[2]), "\(columns[0]): \(description)")
      #expect(error?.field.contains(columns[3]) == true, "\(columns[0]): \(description)")
      #expect(error?.message.contains(columns[4]) == true, "\(columns[0]): \(description)")
    }
    #expect(try Fixtures.names(in: "bad", suffix: ".gguf") == listed.sorted())
  }

  @Test("headers of real models read as an independent reader lists them")
  func modelHeaders() throws {
    let names = try Fixtures.names(in: "gguf/models", suffix: ".gguf")
    #expect(names.count == 5)
    for name in names {
      // Only the header is here; the file is taken to be long enough.
      let bytes = try Fixtures.bytes("gguf/models/" + name)
      let header = try parseHeader(bytes, fileSize: 1 << 40)
      #expect(try listing(header) == Fixtures.text("gguf/models/\(name).txt"), "\(name)")
      #expect(byteArray(header.bytes) == bytes)
      #expect(violations(in: header, fileSize: 1 << 40) == [])
    }
  }

  @Test("written again, the header of a real model is the same, byte for byte")
  func rewriting() throws {
    for name in try Fixtures.names(in: "gguf/models", suffix: ".gguf") {
      let bytes = try Fixtures.bytes("gguf/models/" + name)
      let header = try parseHeader(bytes, fileSize: 1 << 40)
      var writer = GGUFWriter(metadata: header.metadata)
      for tensor in header.tensors {
        writer.add(tensor.name, type: tensor.type, dimensions: tensor.dimensions)
      }
      let written = try writer.layout().header
      #expect(written.tensors == header.tensors)
      #expect(byteArray(written.bytes) == bytes, "\(name)")
    }
  }

  @Test("a trained checkpoint opens with its vocabulary and all of its tensors")
  func checkpoint() throws {
    let file = try GGUFFile.open(Fixtures.path("tiny-qwen35moe-seedmix.gguf"))
    #expect(file.tensors.count == 149)
    #expect(try file.metadata.string("general.architecture") == "qwen35moe")
    #expect(try file.metadata.strings("tokenizer.ggml.tokens").count == 8192)
    #expect(try file.metadata.integers("tokenizer.ggml.token_type").count == 8192)
    #expect(file.tensor(named: "blk.0.ffn_down_exps.weight")?.type == .iq4_XS)
  }

  @Test("small valid files are read")
  func seeds() throws {
    let names = try Fixtures.names(in: "gguf/seeds", suffix: ".gguf")
    #expect(names.count == 8)
    for name in names {
      let bytes = try Fixtures.bytes("gguf/seeds/" + name)
      let header = try parseHeader(bytes)
      #expect(violations(in: header, fileSize: UInt64(bytes.count)) == [], "\(name)")
    }
  }

  @Test("inputs kept from fuzzing are refused or give sound headers")
  func corpus() throws {
    let names = try Fixtures.names(in: "gguf/corpus", suffix: ".bin")
    #expect(!names.isEmpty)
    for name in names {
      let bytes = try Fixtures.bytes("gguf/corpus/" + name)
      for fileSize in [UInt64(bytes.count), UInt64(Int64.max)] {
        var header: GGUFHeader?
        _ = try ggufError { header = try parseHeader(bytes, fileSize: fileSize) }
        if let header { #expect(violations(in: header, fileSize: fileSize) == [], "\(name)") }
      }
    }
  }
}
