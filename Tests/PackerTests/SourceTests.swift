import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import TestSupport
import Tensors
import Testing

@Suite("Sources and targets")
struct SourceTests {
  @Test("a dense model is refused with the reason")
  func dense() throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("dense.gguf")
    try SyntheticModel(layers: []).write(to: source)
    let error = #expect(throws: PackError.self) {
      try convert(source, to: directory.file("dense.moepack"))
    }
    #expect(error?.code == .notMixtureOfExperts)
    #expect(error?.message.contains("dense model") == true)
    #expect(!FileManager.default.fileExists(atPath: directory.file("dense.moepack")))
  }

  /// Expert tensors that contradict each other, and a word of what the error must say.
  static let contradictions: [(name: String, dimensions: [UInt64], word: String)] = [
    ("blk.0.ffn_gate_exps.weight", [64, 64, 3], "equal shapes"),
    ("blk.0.ffn_gate_exps.weight", [64, 128, 4], "experts as before"),
    ("blk.0.ffn_gate_exps.weight", [64, 128], "3 dimensions"),
    ("blk.0.ffn_gate_up_exps.weight", [64, 256, 3], "found both"),
    ("blk.1.ffn_up_exps.weight", [64, 128, 3], "ffn_down_exps"),
    ("blk.1.ffn_down_exps.weight", [128, 64, 3], "found neither"),
  ]

  @Test("contradicting expert tensors are refused by name", arguments: contradictions.indices)
  func contradiction(index: Int) throws {
    let item = Self.contradictions[index]
    let directory = try TemporaryDirectory()
    var model = SyntheticModel(layers: [.init(gate: nil)])
    model.extra = [(item.name, .f16, item.dimensions)]
    try model.write(to: directory.file("model.gguf"))
    let error = #expect(throws: PackError.self) {
      try convert(directory.file("model.gguf"), to: directory.file("model.moepack"))
    }
    #expect(error?.message.contains(item.word) == true, "\(String(describing: error))")
  }

  @Test("sizes that headers claim are refused before they overflow")
  func absurdSizes() throws {
    // No file has these bytes; only the headers that a pack may bring along claim them.
    let shards = try (0..<4).map { shard in
      var metadata = GGUFMetadata()
      metadata.set(.uint16(UInt16(shard)), for: "split.no")
      metadata.set(.uint16(4), for: "split.count")
      metadata.set(.int32(8), for: "split.tensors.count")
      var writer = GGUFWriter(metadata: metadata)
      writer.add("huge\(shard).weight", type: .i8, dimensions: [1 << 31, 1 << 31])
      writer.add("blk.\(shard).ffn_up_exps.weight", type: .i8, dimensions: [1, 1, 1])
      let path = "m-0000\(shard + 1)-of-00004.gguf"
      let layout = try writer.layout(path: path, shard: shard)
      return GGUFShard(path: path, fileSize: layout.fileSize, header: layout.header)
    }
    let source = try GGUFFile(shards: shards)
    let error = #expect(throws: PackError.self) { try PackLayout(source: source) }
    #expect(
      error?.message.contains("expected a source of at most") == true,
      "\(String(describing: error))")
  }

  @Test("tensors that no engine uses stay in the pack")
  func unusedTensors() throws {
    let directory = try TemporaryDirectory()
    var model = SyntheticModel()
    model.extra = [
      ("blk.9.nextn.eh_proj.weight", .f32, [5, 7]), ("v.patch_embd.weight", .f16, [3, 3, 3, 2]),
      ("blk.0.ffn_gate_exps.scale", .f32, [3]), ("blk.x.ffn_gate_exps.weight", .f32, [4]),
    ]
    try model.write(to: directory.file("model.gguf"))
    try convert(directory.file("model.gguf"), to: directory.file("model.moepack"))
    let pack = try PackDirectory.open(directory.file("model.moepack"))
    for tensor in model.extra { #expect(pack.residentTensor(tensor.name) != nil) }
  }

  @Test("a finished pack is replaced only on request, strangers never")
  func targets() throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("model.gguf")
    try SyntheticModel().write(to: source)
    let pack = directory.file("model.moepack")
    try convert(source, to: pack)
    #expect(throws: FileIOError.self) { try convert(source, to: pack) }
    try SyntheticModel(layers: [.init(), .init()]).write(to: source)
    try convert(source, to: pack, overwrite: true)
    #expect(try PackDirectory.open(pack).expertLayers.count == 2)
    try SyntheticModel().write(to: source)
    try convert(source, to: pack, overwrite: true)
    #expect(try FileBytes.files(below: pack).contains("layer-001.experts") == false)

    for taken in [source, directory.path] {
      #expect(throws: FileIOError.self) { try convert(source, to: taken, overwrite: true) }
    }
    #expect(FileManager.default.fileExists(atPath: source))
  }

  @Test("an unfinished pack says so, and converting again finishes it")
  func unfinished() throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("model.gguf")
    try SyntheticModel().write(to: source)
    let pack = directory.file("model.moepack")
    try convert(source, to: pack)
    try FileManager.default.removeItem(atPath: pack + "/" + PackManifest.fileName)
    try Data().write(to: URL(filePath: pack + "/" + PackJournal.fileName))
    let error = #expect(throws: PackError.self) { try PackDirectory.open(pack) }
    #expect(error?.message.contains("unfinished") == true)
    let report = try PackVerifier(directory: pack, threads: 1).verify { _ in }
    #expect(report.findings.map(\.kind) == [.unfinished])
    try convert(source, to: pack)
    #expect(try PackVerifier(directory: pack, threads: 1).verify { _ in }.findings == [])
  }

  @Test("a packed pack moves freely, an in-place one with its source")
  func moving() throws {
    let directory = try TemporaryDirectory()
    let (before, after) = (directory.file("before"), directory.file("after"))
    try FileManager.default.createDirectory(atPath: before, withIntermediateDirectories: true)
    try SyntheticModel().write(to: before + "/model.gguf")
    try convert(before + "/model.gguf", to: before + "/a.moepack")
    try convert(before + "/model.gguf", to: before + "/b.moepack", kind: .inPlace)
    try FileManager.default.moveItem(atPath: before, toPath: after)
    for name in ["a.moepack", "b.moepack"] {
      let report = try PackVerifier(directory: after + "/" + name, threads: 2).verify { _ in }
      #expect(report.findings == [])
    }
  }

  @Test("an in-place pack is not exported, with the reason")
  func inPlaceExport() throws {
    let directory = try TemporaryDirectory()
    try SyntheticModel().write(to: directory.file("model.gguf"))
    let pack = directory.file("model.moepack")
    try convert(directory.file("model.gguf"), to: pack, kind: .inPlace)
    let error = #expect(throws: PackError.self) {
      try PackExporter(pack: try PackDirectory.open(pack), threads: 1)
    }
    #expect(error?.message.contains("in-place") == true)
  }

  @Test("a damaged pack exports nothing")
  func damagedExport() throws {
    let directory = try TemporaryDirectory()
    try SyntheticModel().write(to: directory.file("model.gguf"))
    let pack = directory.file("model.moepack")
    try convert(directory.file("model.gguf"), to: pack)
    for name in ["layer-000.experts", "resident.bin"] {
      try FileBytes.flipBit(pack + "/" + name, offset: 100, bit: 0)
      #expect(throws: PackError.self, "\(name)") {
        try PackExporter(pack: try PackDirectory.open(pack), threads: 1).export(
          to: directory.file("out.gguf"), overwrite: false
        ) { _ in }
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).count == 2)
      try FileBytes.flipBit(pack + "/" + name, offset: 100, bit: 0)
    }
  }
}
