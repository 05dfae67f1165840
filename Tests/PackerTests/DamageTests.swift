import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import TestSupport
import Tensors
import Testing

@Suite("Damage is found and named")
struct DamageTests {
  /// A pack with two kinds of layers, packed once for every damage of a test.
  private struct Sample {
    let directory: TemporaryDirectory
    let pack: String
    let files: [String]

    init(kind: PackKind = .packed) throws {
      directory = try TemporaryDirectory()
      let source = directory.file("model.gguf")
      try SyntheticModel(layers: [
        .init(gate: .q8_0, up: .q8_0, down: .q4_0), .init(experts: 2, isFused: true),
      ]).write(to: source)
      pack = directory.file("model.moepack")
      try convert(source, to: pack, kind: kind)
      files = try FileBytes.files(below: pack)
    }

    func findings() throws -> [PackFinding] {
      try PackVerifier(directory: pack, threads: 2).verify { _ in }.findings
    }
  }

  @Test("one flipped bit anywhere in a file is found in that file")
  func flippedBits() throws {
    let sample = try Sample()
    var random = RandomBytes(seed: 3)
    for name in sample.files {
      let path = sample.pack + "/" + name
      let size = try FileBytes.size(path)
      var offsets = [0, size / 2, size - 1]
      for _ in 0..<20 { offsets.append(Int.random(in: 0..<size, using: &random)) }
      for offset in offsets {
        let bit = Int.random(in: 0..<8, using: &random)
        try FileBytes.flipBit(path, offset: offset, bit: bit)
        let findings = try sample.findings()
        #expect(findings.contains { $0.file == name }, "\(name), byte \(offset), bit \(bit)")
        #expect(findings.count == 1, "\(name), byte \(offset): \(findings)")
        try FileBytes.flipBit(path, offset: offset, bit: bit)
      }
    }
    #expect(try sample.findings() == [])
  }

  @Test("a flipped bit in expert data is named by layer, expert, slice and bytes")
  func flippedBitsAreLocated() throws {
    let sample = try Sample()
    let pack = try PackDirectory.open(sample.pack)
    for layer in pack.expertLayers {
      let path = sample.pack + "/" + layer.fileName
      let unit = layer.geometry.readBytes
      for expert in 0..<layer.expertCount {
        for slice in 0..<PackLimits.splits {
          let start = expert * layer.geometry.recordStride + slice * unit
          for offset in [start, start + unit - 1] {
            try FileBytes.flipBit(path, offset: offset, bit: 5)
            let findings = try sample.findings()
            let finding = try #require(findings.first)
            #expect(findings.count == 1)
            #expect(finding.kind == .damaged && finding.layer == layer.layer)
            #expect(finding.expert == expert && finding.slice == slice)
            #expect(finding.offset == UInt64(start) && finding.length == UInt64(unit))
            try FileBytes.flipBit(path, offset: offset, bit: 5)
          }
        }
      }
    }
  }

  @Test("every byte of the manifest is covered by its digest")
  func manifestBytes() throws {
    let sample = try Sample()
    let path = sample.pack + "/" + PackManifest.fileName
    for offset in 0..<(try FileBytes.size(path)) {
      try FileBytes.flipBit(path, offset: offset, bit: offset % 8)
      #expect(throws: PackError.self, "byte \(offset)") { try PackDirectory.open(sample.pack) }
      try FileBytes.flipBit(path, offset: offset, bit: offset % 8)
    }
  }

  @Test("a file cut at any of several lengths, or extended, is found", arguments: [0, 1, 2, 3, 4])
  func wrongLengths(which: Int) throws {
    let sample = try Sample()
    for name in sample.files {
      let path = sample.pack + "/" + name
      let content = try FileBytes.read(path)
      let length = [0, 1, content.count / 2, content.count - 1, content.count + 1][which]
      try (content + Data([0])).prefix(length).write(to: URL(filePath: path))
      let findings = try sample.findings()
      #expect(findings.contains { $0.file == name }, "\(name), \(length) bytes")
      #expect(throws: (any Error).self, "\(name), \(length) bytes") {
        try PackDirectory.open(sample.pack)
      }
      try content.write(to: URL(filePath: path))
    }
    #expect(try sample.findings() == [])
  }

  @Test("a missing file is found")
  func missingFiles() throws {
    let sample = try Sample()
    for name in sample.files {
      let path = sample.pack + "/" + name
      let content = try FileBytes.read(path)
      try FileManager.default.removeItem(atPath: path)
      let findings = try sample.findings()
      #expect(findings.contains { $0.file == name && $0.kind == .missing }, "\(name): \(findings)")
      #expect(throws: PackError.self, "\(name)") { try PackDirectory.open(sample.pack) }
      try content.write(to: URL(filePath: path))
    }
  }

  @Test("intact records in each other's place are damage")
  func swappedRecords() throws {
    let sample = try Sample()
    let pack = try PackDirectory.open(sample.pack)
    let layer = pack.expertLayers[0]
    let path = sample.pack + "/" + layer.fileName
    var content = try FileBytes.read(path)
    let stride = layer.geometry.recordStride
    let first = content.subdata(in: 0..<stride)
    content.replaceSubrange(0..<stride, with: content.subdata(in: stride..<2 * stride))
    content.replaceSubrange(stride..<2 * stride, with: first)
    try content.write(to: URL(filePath: path))
    let findings = try sample.findings()
    #expect(Set(findings.compactMap(\.expert)) == [0, 1])
    #expect(findings.count == 2 * PackLimits.splits)
  }

  @Test("equal bytes have different checksums in different places")
  func checksumsAreBoundToPlaces() {
    let places: [(Int, Int, Int)] = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 256, 0)]
    let bytes = [UInt8](repeating: 7, count: 4096)
    let sums = places.map { layer, expert, extent in
      bytes.withUnsafeBytes {
        XXH3.hash64($0, seed: ChecksumTable.seed(layer: layer, expert: expert, extent: extent))
      }
    }
    #expect(Set(sums).count == places.count)
  }

  @Test("a changed source of an in-place pack is found and named")
  func inPlaceSource() throws {
    let sample = try Sample(kind: .inPlace)
    let source = sample.directory.file("model.gguf")
    let opened = try GGUFFile.open(source)
    for tensor in opened.tensors {
      let offset = Int(tensor.offset) + Int(tensor.byteCount) / 2
      try FileBytes.flipBit(source, offset: offset, bit: 1)
      let findings = try sample.findings()
      let finding = try #require(findings.first, "\(tensor.name)")
      #expect(findings.count == 1 && finding.kind == .damaged, "\(findings)")
      #expect(finding.offset <= UInt64(offset), "\(tensor.name)")
      #expect(UInt64(offset) < finding.offset + finding.length, "\(tensor.name)")
      if tensor.name.contains("_exps.weight") {
        #expect(finding.layer != nil && finding.expert != nil && finding.slice != nil)
        #expect(finding.length < tensor.byteCount, "\(tensor.name)")
      } else {
        #expect(finding.detail.contains("resident block"))
      }
      try FileBytes.flipBit(source, offset: offset, bit: 1)
    }
    try FileBytes.flipBit(source, offset: 9, bit: 0)
    #expect(try !sample.findings().isEmpty)
    try FileBytes.flipBit(source, offset: 9, bit: 0)
    #expect(try sample.findings() == [])
    try FileManager.default.removeItem(atPath: source)
    #expect(try sample.findings().contains { $0.kind == .missing })
    #expect(throws: PackError.self) { try PackDirectory.open(sample.pack) }
  }

  @Test("a file that cannot be read is found, and hides no other damage")
  func unreadableFile() throws {
    let sample = try Sample()
    let path = sample.pack + "/resident.bin"
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    try FileBytes.flipBit(sample.pack + "/layer-001.experts", offset: 0, bit: 0)
    let findings = try sample.findings()
    #expect(findings.map(\.file) == ["layer-001.experts", "resident.bin"])
    #expect(findings.map(\.kind) == [.damaged, .unreadable])
  }

  @Test("an extended header archive is named with the bytes that are too many")
  func extendedArchive() throws {
    let sample = try Sample()
    let path = sample.pack + "/headers/00001.gguf.zst"
    let content = try FileBytes.read(path)
    try (content + Data([0])).write(to: URL(filePath: path))
    let finding = try #require(try sample.findings().first)
    #expect(finding.kind == .extended && finding.offset == UInt64(content.count))
    #expect(finding.length == 1)
  }

  @Test("what never was a pack is refused, not reported as damage")
  func strangers() throws {
    let directory = try TemporaryDirectory()
    try Data("x".utf8).write(to: URL(filePath: directory.file("notes")))
    for path in [directory.path, directory.file("notes")] {
      #expect(throws: (any Error).self) {
        try PackVerifier(directory: path, threads: 1).verify { _ in }
      }
    }
  }

  @Test("verify --against names the tensor that differs")
  func differingSource() throws {
    let sample = try Sample()
    let source = sample.directory.file("model.gguf")
    let opened = try GGUFFile.open(source)
    let pack = try PackDirectory.open(sample.pack)
    for tensor in opened.tensors {
      let offset = Int(tensor.offset + tensor.byteCount) - 1
      try FileBytes.flipBit(source, offset: offset, bit: 7)
      let findings = try SourceComparison(
        pack: pack, other: try GGUFFile.open(source), threads: 2
      ).findings { _ in }
      #expect(findings.count == 1)
      #expect(findings.first?.detail.contains(tensor.name) == true, "\(findings)")
      #expect(findings.first?.detail.contains("byte \(offset)") == true, "\(findings)")
      try FileBytes.flipBit(source, offset: offset, bit: 7)
    }
  }
}
