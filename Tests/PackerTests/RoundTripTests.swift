import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import TestSupport
import Tensors
import Testing

/// A shape of checkpoint and the slices that its layers must get.
struct PackCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let model: SyntheticModel
  let computeSlices: [Int]
}

@Suite("Round trip")
struct RoundTripTests {
  static let cases: [PackCase] = [
    PackCase(
      testDescription: "separate gate and up, 32-blocks in four slices",
      model: SyntheticModel(layers: [.init(gate: .q8_0, up: .q8_0, down: .q4_0)]),
      computeSlices: [4]),
    PackCase(
      testDescription: "fused gate and up", model: SyntheticModel(layers: [.init(isFused: true)]),
      computeSlices: [4]),
    PackCase(
      testDescription: "no gate at all", model: SyntheticModel(layers: [.init(gate: nil)]),
      computeSlices: [4]),
    PackCase(
      testDescription: "256-blocks of 1024, 512, 768 and 256 rows",
      model: SyntheticModel(layers: [
        .init(
          experts: 2, hidden: 256, intermediate: 1024, gate: .iq3_XXS, up: .iq3_XXS, down: .iq4_XS),
        .init(experts: 2, hidden: 256, intermediate: 512, gate: .q4_K, up: .q5_K, down: .q6_K),
        .init(experts: 2, hidden: 256, intermediate: 768, gate: .q4_K, up: .q4_K, down: .q4_K),
        .init(experts: 2, hidden: 256, intermediate: 256, gate: .q2_K, up: .q2_K, down: .q3_K),
      ]),
      computeSlices: [4, 2, 1, 1]),
    PackCase(
      testDescription: "types that differ from layer to layer, 64-blocks, odd rows",
      model: SyntheticModel(layers: [
        .init(experts: 1, intermediate: 64, gate: .mxfp4, up: .mxfp4, down: .nvfp4),
        .init(experts: 5, intermediate: 33, gate: .f32, up: .f16, down: .bf16),
        .init(experts: 4, intermediate: 96, gate: .q5_1, up: .q4_1, down: .q8_0),
      ]),
      computeSlices: [1, 1, 1]),
    PackCase(
      testDescription: "alignment of 4096",
      model: SyntheticModel(layers: [.init(), .init(experts: 7)], alignment: 4096),
      computeSlices: [4, 4]),
  ]

  @Test("what is packed verifies, compares and exports to identical bytes", arguments: cases)
  func packed(_ item: PackCase) throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("model.gguf")
    try item.model.write(to: source)
    let pack = directory.file("model.moepack")
    try convert(source, to: pack)

    let opened = try PackDirectory.open(pack)
    #expect(opened.expertLayers.map(\.geometry.computeSlices) == item.computeSlices)
    for layer in opened.expertLayers {
      #expect(layer.geometry.recordStride % (PackLimits.splits * PackLimits.pageBytes) == 0)
    }
    let report = try PackVerifier(directory: pack, threads: 2).verify { _ in }
    #expect(report.findings == [])
    let comparison = SourceComparison(
      pack: opened, other: try GGUFFile.open(source), threads: 2)
    #expect(try comparison.findings { _ in } == [])

    let exported = directory.file("again.gguf")
    let written = try PackExporter(pack: opened, threads: 2).export(
      to: exported, overwrite: false
    ) { _ in }
    #expect(written == [exported])
    #expect(try FileBytes.read(exported) == FileBytes.read(source))
  }

  @Test("an in-place pack verifies and holds the same matrices, slice by slice", arguments: cases)
  func inPlace(_ item: PackCase) throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("model.gguf")
    try item.model.write(to: source)
    try convert(source, to: directory.file("packed.moepack"))
    try convert(source, to: directory.file("index.moepack"), kind: .inPlace)
    let report = try PackVerifier(directory: directory.file("index.moepack"), threads: 2).verify {
      _ in
    }
    #expect(report.findings == [])

    let packed = try PackDirectory.open(directory.file("packed.moepack"))
    let indexed = try PackDirectory.open(directory.file("index.moepack"))
    for layer in packed.expertLayers {
      for expert in 0..<layer.expertCount {
        let one = try Slot(pack: packed, layer: layer.layer, expert: expert)
        let other = try Slot(pack: indexed, layer: layer.layer, expert: expert)
        #expect(one.sliceRows == other.sliceRows)
      }
    }
    let image = try packed.loadResident(verify: true, threads: 2)
    let assembled = try indexed.loadResident(verify: true, threads: 2)
    #expect(image.bytes.elementsEqual(assembled.bytes))
  }

  @Test("a split source is found from any shard and exported as its shards", arguments: [0, 2])
  func split(given: Int) throws {
    let directory = try TemporaryDirectory()
    let model = SyntheticModel(layers: [.init(), .init(isFused: true)])
    let shards = try model.writeSplit(directory: directory.path, name: "model", count: 3)
    let pack = directory.file("model.moepack")
    try convert(shards[given], to: pack)
    let exporter = try PackExporter(pack: try PackDirectory.open(pack), threads: 2)
    #expect(throws: FileIOError.self) {
      try exporter.export(to: directory.file("wrong.gguf"), overwrite: false) { _ in }
    }
    let written = try exporter.export(
      to: directory.file("again-00001-of-00003.gguf"), overwrite: false
    ) { _ in }
    #expect(written.count == 3)
    for (shard, copy) in zip(shards, written) {
      #expect(try FileBytes.read(shard) == FileBytes.read(copy))
    }
  }

  @Test("bytes between and after tensors survive")
  func paddingIsKept() throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("model.gguf")
    let layout = try SyntheticModel(layers: [.init(intermediate: 33, gate: .f32)], alignment: 256)
      .write(to: source)
    var content = try FileBytes.read(source)
    var position = Int(layout.header.byteCount)
    for tensor in layout.header.tensors.sorted(by: { $0.offset < $1.offset }) {
      for index in position..<Int(tensor.offset) { content[index] = UInt8(index & 0xff) }
      position = Int(tensor.offset + tensor.byteCount)
    }
    content.append(contentsOf: [1, 2, 3, 4, 5])
    try content.write(to: URL(filePath: source))

    let pack = directory.file("model.moepack")
    try convert(source, to: pack)
    let exported = directory.file("again.gguf")
    try PackExporter(pack: try PackDirectory.open(pack), threads: 1).export(
      to: exported, overwrite: false
    ) { _ in }
    #expect(try FileBytes.read(exported) == content)
  }

  @Test("the same source gives the same pack, whatever the threads")
  func reproducible() throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("model.gguf")
    try SyntheticModel(layers: [.init(experts: 9), .init(isFused: true)]).write(to: source)
    try convert(source, to: directory.file("a.moepack"), threads: 1)
    try convert(source, to: directory.file("b.moepack"), threads: 7)
    let names = try FileBytes.files(below: directory.file("a.moepack"))
    #expect(names == (try FileBytes.files(below: directory.file("b.moepack"))))
    for name in names {
      #expect(
        try FileBytes.read(directory.file("a.moepack/" + name))
          == FileBytes.read(directory.file("b.moepack/" + name)), "\(name)")
    }
  }
}

/// Converts `source` with the library, quietly.
func convert(
  _ source: String, to pack: String, kind: PackKind = .packed, threads: Int = 2,
  overwrite: Bool = false
) throws {
  try PackWriter(source: try GGUFFile.open(source), kind: kind, threads: threads).write(
    to: pack, overwrite: overwrite
  ) { _ in }
}

/// An expert read into memory as its placement says.
private struct Slot {
  /// Of every slice, of gate, up and down: the bytes of each row.
  let sliceRows: [[[[UInt8]]]]

  init(pack: PackDirectory, layer: Int, expert: Int) throws {
    let placement = pack.placement(layer: layer, expert: expert)
    let memory = try AlignedBuffer(count: pack.maximumSlotBytes)
    for read in placement.reads {
      let range = read.slotOffset..<read.slotOffset + read.length
      let file = try File.reading(pack.files[read.file].path)
      _ = try file.read(
        into: UnsafeMutableRawBufferPointer(rebasing: memory.bytes[range]), at: read.offset)
      let payload = UnsafeRawBufferPointer(rebasing: memory.bytes[read.payload])
      #expect(XXH3.hash64(payload, seed: read.seed) == read.checksum)
    }
    sliceRows = placement.slices.map { slice in
      [slice.gate, slice.up, slice.down].compactMap { $0 }.map { part in
        (0..<part.rows).map { row in
          let start = part.slotOffset + row * part.rowStride
          return Array(memory.bytes[start..<start + part.type.rowBytes(columns: part.columns)])
        }
      }
    }
  }
}
