import ExpertPack
import Foundation
import GGUF
import Kernels
import Packer
import Recipes
import Tensors
import TestSupport
import Testing

@Suite("Synthesis of every recipe")
struct RecipeSynthesisTests {
  @Test(
    "a small model of each converts, verifies and exports identically",
    arguments: ShippedRecipes.names)
  func wholeWay(_ name: String) throws {
    let directory = try TemporaryDirectory()
    let recipe = try Recipe(text: try ShippedRecipes.smallText(name), path: "\(name).yaml")
    let model = try Synthesizer(recipe: recipe, options: .init(seed: 5))
    let source = directory.file("model.gguf")
    try model.writeGGUF(to: source, overwrite: false, threads: 2) { _ in }
    let file = try GGUFFile.open(source)
    #expect(file.tensors.map(\.name) == model.shape.tensors.map(\.name))
    let pack = directory.file("model.moepack")
    try PackWriter(source: file, kind: .packed, threads: 2).write(to: pack, overwrite: false) {
      _ in
    }
    let verified = try PackVerifier(directory: pack, threads: 2).verify { _ in }
    #expect(verified.findings == [] && verified.checkedSlices > 0)
    let exported = directory.file("again.gguf")
    try PackExporter(pack: try PackDirectory.open(pack), threads: 2)
      .export(to: exported, overwrite: false) { _ in }
    #expect(try FileBytes.read(exported) == FileBytes.read(source))
    let direct = directory.file("direct.moepack")
    try model.writePack(to: direct, overwrite: false, threads: 2) { _ in }
    for layer in try PackDirectory.open(pack).expertLayers {
      #expect(layer.expertCount == 4 && layer.geometry.computeSlices >= 1)
      #expect(
        try FileBytes.read("\(direct)/\(layer.fileName)")
          == FileBytes.read("\(pack)/\(layer.fileName)"))
    }
  }

  @Test("an embedding that fills a part of the resident image has room while it is read")
  func longTensor() throws {
    let directory = try TemporaryDirectory()
    let recipe = try Recipe(
      text: SmallRecipe.text(["vocabulary_size": "80000"]), path: "\(directory.path)/small.yaml")
    let model = try Synthesizer(recipe: recipe, options: .init(seed: 6))
    let source = directory.file("model.gguf")
    try model.writeGGUF(to: source, overwrite: false, threads: 2) { _ in }
    let pack = directory.file("model.moepack")
    try PackWriter(source: try GGUFFile.open(source), kind: .packed, threads: 2)
      .write(to: pack, overwrite: false) { _ in }
    let comparison = SourceComparison(
      pack: try PackDirectory.open(pack), other: try GGUFFile.open(source), threads: 2)
    #expect(try comparison.findings { _ in } == [])
  }

  @Test("all weights are finite", arguments: ShippedRecipes.names)
  func finite(_ name: String) throws {
    let directory = try TemporaryDirectory()
    let recipe = try Recipe(text: try ShippedRecipes.smallText(name), path: "\(name).yaml")
    let source = directory.file("model.gguf")
    try Synthesizer(recipe: recipe, options: .init()).writeGGUF(
      to: source, overwrite: false, threads: 2
    ) { _ in }
    let content = try FileBytes.read(source)
    for tensor in try GGUFFile.open(source).tensors {
      let columns = Int(tensor.dimensions[0])
      let rows = min(16, Int(tensor.elementCount) / columns)
      let bytes = rows * tensor.type.rowBytes(columns: columns)
      var values = [Float](repeating: .nan, count: rows * columns)
      Data(content[Int(tensor.offset)..<Int(tensor.offset) + bytes]).withUnsafeBytes { bytes in
        values.withUnsafeMutableBufferPointer { values in
          guard let base = bytes.baseAddress, let out = values.baseAddress else { return }
          let view = MatrixView(type: tensor.type, rows: rows, columns: columns, base: base)
          for row in 0..<rows {
            KernelSet(.scalar).dequantize(view, row: row, into: out + row * columns)
          }
        }
      }
      #expect(values.allSatisfy { $0.isFinite && abs($0) < 100 }, "\(tensor.name)")
      #expect(values.contains { $0 != 0 }, "\(tensor.name)")
    }
  }
}
