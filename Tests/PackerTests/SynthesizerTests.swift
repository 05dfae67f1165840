import ExpertPack
import FileIO
import Foundation
import GGUF
import Kernels
import Packer
import Recipes
import TestSupport
import Tensors
import Testing

@Suite("Synthesizer")
struct SynthesizerTests {
  private func synthesizer(
    _ values: [String: String] = [:], layers: Int? = nil, vocabulary: Int? = nil, seed: UInt64 = 0
  ) throws -> Synthesizer {
    try Synthesizer(
      recipe: try Recipe(text: SmallRecipe.text(values), path: "small.yaml"),
      options: .init(layers: layers, vocabulary: vocabulary, seed: seed))
  }

  private func write(_ synthesizer: Synthesizer, to path: String, threads: Int = 2) throws {
    try synthesizer.writeGGUF(to: path, overwrite: false, threads: threads) { _ in }
  }

  @Test("the pack is the one that converting the GGUF gives, byte for byte")
  func packEqualsConversion() throws {
    let directory = try TemporaryDirectory()
    let model = try synthesizer(layers: 2)
    let source = directory.file("model.gguf")
    try write(model, to: source)
    #expect(try FileBytes.size(source) == Int(model.byteCount))
    let converted = directory.file("converted.moepack")
    try PackWriter(source: try GGUFFile.open(source), kind: .packed, threads: 2)
      .write(to: converted, overwrite: false) { _ in }
    let direct = directory.file("model.moepack")
    try model.writePack(to: direct + "/", overwrite: false, threads: 3) { _ in }

    let files = try FileBytes.files(below: converted)
    #expect(try FileBytes.files(below: direct) == files)
    for file in files {
      #expect(
        try FileBytes.read("\(direct)/\(file)") == FileBytes.read("\(converted)/\(file)"), "\(file)"
      )
    }
    #expect(try PackVerifier(directory: direct, threads: 2).verify { _ in }.findings == [])
    let exported = directory.file("again.gguf")
    try PackExporter(pack: try PackDirectory.open(direct), threads: 2)
      .export(to: exported, overwrite: false) { _ in }
    #expect(try FileBytes.read(exported) == FileBytes.read(source))
  }

  @Test("a seed gives the same bytes on any number of threads, another seed others")
  func seeds() throws {
    let directory = try TemporaryDirectory()
    let files = ["a", "b", "c"].map { directory.file($0 + ".gguf") }
    try write(try synthesizer(layers: 1, seed: 7), to: files[0], threads: 1)
    try write(try synthesizer(layers: 1, seed: 7), to: files[1], threads: 4)
    try write(try synthesizer(layers: 1, seed: 8), to: files[2])
    let contents = try files.map(FileBytes.read)
    #expect(contents[0] == contents[1])
    let equal = zip(contents[0], contents[2]).count { $0 == $1 }
    // Header, merges and scales apart, one byte in 256 is equal by chance.
    #expect(equal < contents[0].count / 10)
  }

  @Test("experts and layers differ from each other")
  func expertsDiffer() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("model.moepack")
    try synthesizer(layers: 2).writePack(to: path, overwrite: false, threads: 2) { _ in }
    let pack = try PackDirectory.open(path)
    var sums: Set<String> = []
    for layer in pack.expertLayers {
      let file = try FileBytes.read("\(path)/\(layer.fileName)")
      for expert in 0..<layer.expertCount {
        let record = file.dropFirst(expert * layer.geometry.recordStride)
          .prefix(layer.geometry.sliceBytes)
        sums.insert(record.withUnsafeBytes { XXH3.hash128($0).description })
      }
    }
    #expect(sums.count == 16)
  }

  @Test("tensors and their order are those of a file from llama.cpp's quantizer")
  func likeTheFixture() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("model.gguf")
    try write(try synthesizer(["vocabulary_size": "8192"]), to: path)
    let (made, real) = (try GGUFFile.open(path), try GGUFFile.open(Fixtures.checkpoint))
    let limit = made.tensors.count
    #expect(made.tensors.map(\.name) == real.tensors.prefix(limit).map(\.name))
    #expect(made.tensors.map(\.type) == real.tensors.prefix(limit).map(\.type))
    for (one, other) in zip(made.tensors, real.tensors) where !one.name.contains("_exps") {
      #expect(one.dimensions.count == other.dimensions.count, "\(one.name)")
    }
    let keys = Set(real.metadata.keys)
    #expect(Set(made.metadata.keys).subtracting(keys) == ["general.description"])
  }

  static let types = [
    "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
    "Q6_K", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "MXFP4",
  ]

  @Test("weights of every type have the size that keeps the variance", arguments: types)
  func weights(_ name: String) throws {
    let type = try #require(TensorType(name: name))
    let directory = try TemporaryDirectory()
    let path = directory.file("model.gguf")
    try write(try synthesizer(["expert_up": name, "dense": name], layers: 1), to: path)
    let file = try GGUFFile.open(path)
    let content = try FileBytes.read(path)
    for tensorName in ["blk.0.ffn_up_exps.weight", "blk.0.attn_gate.weight"] {
      let tensor = try #require(file.tensor(named: tensorName))
      #expect(tensor.type == type)
      let columns = 256
      let rows = 256
      var values = [Float](repeating: 0, count: rows * columns)
      let bytes = Data(content[Int(tensor.offset)..<Int(tensor.offset + tensor.byteCount)])
      bytes.withUnsafeBytes { bytes in
        values.withUnsafeMutableBufferPointer { values in
          guard let base = bytes.baseAddress, let out = values.baseAddress else { return }
          let view = MatrixView(type: type, rows: rows, columns: columns, base: base)
          for row in 0..<rows {
            KernelSet(.scalar).dequantize(view, row: row, into: out + row * columns)
          }
        }
      }
      let squares = values.reduce(0.0) { $0 + Double($1) * Double($1) }
      let deviation = (squares / Double(values.count)).squareRoot() * 16
      // MXFP4's scales are powers of two.
      #expect((name == "MXFP4" ? 0.6...1.6 : 0.95...1.05).contains(deviation), "\(deviation)")
      let mean = values.reduce(0.0) { $0 + Double($1) } / Double(values.count) * 16
      // The largest is IQ4_NL's, whose codes have a mean of -5.9 at a magnitude of 67.4.
      #expect(abs(mean) < 0.12, "\(mean)")
      #expect(values.allSatisfy { $0.isFinite })
    }
  }

  @Test("a cut vocabulary keeps special tokens and possible merges")
  func cutVocabulary() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("model.gguf")
    try write(try synthesizer(layers: 1, vocabulary: 400), to: path)
    let real = try GGUFFile.open(Fixtures.checkpoint).metadata
    let made = try GGUFFile.open(path)
    let tokens = try made.metadata.strings("tokenizer.ggml.tokens")
    let all = try real.strings("tokenizer.ggml.tokens")
    #expect(tokens == Array(all[..<397]) + ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    #expect(try made.metadata.integers("tokenizer.ggml.token_type").suffix(4) == [1, 3, 3, 3])
    #expect(try made.metadata.unsigned("tokenizer.ggml.eos_token_id") == 399)
    #expect(try made.metadata.unsigned("tokenizer.ggml.padding_token_id") == 397)
    let names = Set(tokens)
    let merges = try made.metadata.strings("tokenizer.ggml.merges")
    #expect(merges.count > 100)
    for merge in merges {
      let parts = merge.split(separator: " ").map(String.init)
      #expect(names.contains(parts.joined()) && parts.allSatisfy(names.contains), "\(merge)")
    }
    #expect(made.tensor(named: "output.weight")?.dimensions == [256, 400])
    #expect(throws: SynthesisError.self) { try synthesizer(vocabulary: 258) }
    #expect(try synthesizer(vocabulary: 259).vocabularySize == 259)
  }

  @Test("a padded vocabulary ends in unused tokens")
  func paddedVocabulary() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("model.gguf")
    try write(try synthesizer(layers: 1, vocabulary: 8200), to: path)
    let metadata = try GGUFFile.open(path).metadata
    let tokens = try metadata.strings("tokenizer.ggml.tokens")
    #expect(tokens.count == 8200 && tokens[8192] == "[PAD8192]" && tokens[8199] == "[PAD8199]")
    let types = try metadata.integers("tokenizer.ggml.token_type")
    #expect(types.count == 8200 && types.suffix(9) == [3] + Array(repeating: 5, count: 8))
    #expect(try metadata.unsigned("tokenizer.ggml.eos_token_id") == 8191)
    #expect(try metadata.strings("tokenizer.ggml.merges").count == 7933)
  }

  @Test("options out of range are refused")
  func options() throws {
    #expect(throws: SynthesisError.self) { try synthesizer(layers: 0) }
    #expect(throws: SynthesisError.self) { try synthesizer(layers: 1025) }
    #expect(throws: SynthesisError.self) { try synthesizer(vocabulary: 1 << 25) }
  }

  @Test("an existing file stays unless it is to be replaced, and failures leave nothing")
  func existing() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("model.gguf")
    try Data("mine".utf8).write(to: URL(filePath: path))
    let model = try synthesizer(layers: 1)
    #expect(throws: FileIOError.self) { try write(model, to: path) }
    #expect(try FileBytes.read(path) == Data("mine".utf8))
    try model.writeGGUF(to: path, overwrite: true, threads: 2) { _ in }
    #expect(try FileBytes.size(path) == Int(model.byteCount))
    #expect(throws: FileIOError.self) { try write(model, to: directory.file("no/model.gguf")) }
    #expect(try FileBytes.files(below: directory.path) == ["model.gguf"])
  }

  @Test("Qwen3.5-397B-A17B: 512 experts of 5,439,488 bytes in four slices of 83 pages")
  func shippedRecipe() throws {
    let recipe = try Recipe.read(Fixtures.repository + "/recipes/qwen3.5-397b-a17b.yaml")
    let full = try Synthesizer(recipe: recipe, options: .init())
    #expect(full.layerCount == 60 && full.vocabularySize == 248_320)
    let plan = try full.plan
    #expect(plan.layers.count == 60 && plan.expertsUsed == 10)
    for layer in plan.layers {
      #expect(layer.experts == 512 && layer.computeSlices == 4 && layer.paddingBytes == 0)
      #expect(layer.recordBytes == 5_439_488 && layer.recordBytes == 4 * 83 * 16384)
    }
  }
}
