import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import TestSupport
import Tensors
import Testing

/// A pack, what it was made from, and its bytes when it was whole.
struct RepairSample {
  let directory: TemporaryDirectory
  let source: String
  let pack: String
  let content: [String: Data]

  static let model = SyntheticModel(layers: [
    .init(gate: .q8_0, up: .q8_0, down: .q4_0), .init(experts: 2, isFused: true),
  ])

  init(_ model: SyntheticModel = Self.model, kind: PackKind = .packed) throws {
    directory = try TemporaryDirectory()
    source = directory.file("model.gguf")
    try model.write(to: source)
    pack = directory.file("model.moepack")
    try convert(source, to: pack, kind: kind)
    content = try Self.content(pack)
  }

  static func content(_ pack: String) throws -> [String: Data] {
    let names = try FileBytes.files(below: pack)
    return try Dictionary(
      uniqueKeysWithValues: names.map { ($0, try FileBytes.read(pack + "/" + $0)) })
  }

  /// A copy of the pack beside it.
  func copy(_ name: String = "copy.moepack") throws -> String {
    let path = directory.file(name)
    try FileManager.default.copyItem(atPath: pack, toPath: path)
    return path
  }

  func path(_ name: String) -> String { pack + "/" + name }
  func write(_ bytes: Data, _ name: String) throws {
    try bytes.write(to: URL(filePath: path(name)))
  }
  func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path(name)) }

  @discardableResult
  func repair(from other: String? = nil) throws -> RepairReport {
    try PackRepair(directory: pack, source: other ?? source, threads: 2).run(
      progress: .init(stage: { _, _ in }, add: { _ in }))
  }

  /// Repairs, and expects the bytes that were there before.
  func expectRestored(
    from other: String? = nil, _ comment: Comment? = nil,
    location: SourceLocation = #_sourceLocation
  ) throws {
    let report = try repair(from: other)
    #expect(report.isWhole, "\(report.remaining)", sourceLocation: location)
    #expect(try Self.content(pack) == content, comment, sourceLocation: location)
  }
}

@Suite("Repair")
struct RepairTests {
  @Test("a whole pack is left alone")
  func whole() throws {
    let sample = try RepairSample()
    let stamps = try sample.content.keys.map { try File.reading(sample.path($0)).contentStamp }
    let report = try sample.repair()
    #expect(report.isWhole && report.repaired.isEmpty && report.bytesWritten == 0)
    #expect(report.bytesChecked > 0)
    #expect(
      try sample.content.keys.map { try File.reading(sample.path($0)).contentStamp } == stamps)
  }

  @Test(
    "a thousand flipped bits anywhere are put right, and only their slices are written",
    arguments: [true, false])
  func thousandBits(fromGGUF: Bool) throws {
    let sample = try RepairSample(
      SyntheticModel(layers: [
        .init(experts: 40, hidden: 128, gate: .q8_0, up: .q8_0, down: .q4_0),
        .init(experts: 30, hidden: 128, isFused: true),
      ]))
    let copy = try sample.copy()
    var random = RandomBytes(seed: 17)
    let pack = try PackDirectory.open(sample.pack)
    let names = sample.content.keys.sorted()
    let total = names.reduce(0) { $0 + (sample.content[$1]?.count ?? 0) }
    // Where the bits of each file are that are flipped an odd number of times.
    var flipped: [String: Set<Int>] = [:]
    for _ in 0..<1000 {
      var bit = Int.random(in: 0..<total * 8, using: &random)
      for name in names {
        let count = (sample.content[name]?.count ?? 0) * 8
        guard bit >= count else {
          flipped[name, default: []].formSymmetricDifference([bit])
          break
        }
        bit -= count
      }
    }
    var expected: Set<String> = []
    for (name, bits) in flipped {
      for bit in bits {
        try FileBytes.flipBit(sample.path(name), offset: bit / 8, bit: bit % 8)
        var unit = sample.content[name]?.count ?? 0
        if let layer = pack.expertLayers.first(where: { $0.fileName == name }) {
          unit = layer.geometry.readBytes
        } else if name == PackDirectory.residentFileName {
          unit = PackLimits.residentBlockBytes
        }
        expected.insert("\(name) \(bit / 8 / unit * unit)")
      }
    }
    #expect(expected.count > 100)
    let untouched = names.filter { flipped[$0] == nil }
    let stamps = try untouched.map { try File.reading(sample.path($0)).contentStamp }
    let report = try sample.repair(from: fromGGUF ? sample.source : copy)
    #expect(report.isWhole, "\(report.remaining)")
    #expect(Set(report.repaired.map { "\($0.file) \($0.offset)" }) == expected)
    #expect(report.bytesWritten == report.repaired.reduce(0) { $0 + $1.length })
    #expect(report.bytesWritten < UInt64(total))
    #expect(try RepairSample.content(sample.pack) == sample.content)
    #expect(try untouched.map { try File.reading(sample.path($0)).contentStamp } == stamps)
  }

  @Test("files that are missing, cut or extended are restored", arguments: 0..<6)
  func lengths(which: Int) throws {
    let sample = try RepairSample()
    for (name, content) in sample.content.sorted(by: { $0.key < $1.key }) {
      switch which {
      case 0: try sample.remove(name)
      case 1: try sample.write(Data(), name)
      case 2: try sample.write(content.prefix(content.count / 2 + 1), name)
      case 3: try sample.write(content.prefix(content.count - 1), name)
      case 4: try sample.write(content + Data([7]), name)
      default: try sample.write(Data(count: content.count), name)
      }
      try sample.expectRestored("\(name)")
    }
  }

  @Test("all files but one may go at once, from a GGUF and from a copy")
  func nearlyEverything() throws {
    let sample = try RepairSample()
    let copy = try sample.copy()
    for kept in [ChecksumTable.fileName, PackManifest.fileName] {
      for source in [sample.source, copy] {
        for name in sample.content.keys where name != kept {
          // Without a manifest the headers and the table prove it together.
          if kept == ChecksumTable.fileName, name.hasPrefix("headers/") { continue }
          try sample.remove(name)
        }
        if kept == ChecksumTable.fileName {
          // What tells a packed directory from an in-place one.
          try sample.write(Data(), PackDirectory.residentFileName)
        }
        try sample.expectRestored(from: source, "only \(kept) was left")
      }
    }
  }

  @Test("a damaged manifest is made again from what proves it")
  func manifest() throws {
    let sample = try RepairSample()
    let manifest = try #require(sample.content[PackManifest.fileName])
    let text = String(decoding: manifest, as: UTF8.self)
    let digest = try #require(text.range(of: "\"digest\": \"")?.upperBound)
    let source = try #require(text.range(of: "\"sources\": [")?.upperBound)
    func offset(_ index: String.Index) -> Int {
      text.utf8.distance(from: text.startIndex, to: index)
    }
    let table = try #require(sample.content[ChecksumTable.fileName])
    // In the digest, in the tables, in the version, all of it; with the table damaged as well.
    for damaged in [offset(digest) + 3, offset(source) + 20, manifest.count - 4, 0] {
      for withTable in [false, true] {
        try FileBytes.flipBit(sample.path(PackManifest.fileName), offset: damaged, bit: 1)
        if withTable { try sample.write(Data(table.dropLast()), ChecksumTable.fileName) }
        try FileBytes.flipBit(sample.path("layer-001.experts"), offset: 70_000, bit: 2)
        try sample.expectRestored("byte \(damaged)")
      }
    }
    // Nothing is left of manifest and table: the weights prove both.
    try sample.remove(PackManifest.fileName)
    try sample.remove(ChecksumTable.fileName)
    let report = try sample.repair()
    #expect(report.isWhole && report.notes.contains { $0.contains("files of weights") })
    #expect(try RepairSample.content(sample.pack) == sample.content)
  }

  @Test("a manifest that nothing proves is not made up")
  func unprovedManifest() throws {
    let sample = try RepairSample()
    let other = sample.directory.file("other.gguf")
    try RepairSample.model.write(to: other, seed: 2)
    try sample.remove(PackManifest.fileName)
    let left = try RepairSample.content(sample.pack)
    let report = try sample.repair(from: other)
    #expect(report.remaining.map(\.finding.file) == [PackManifest.fileName])
    #expect(report.remaining.first?.reason.contains("nothing that is left of the pack") == true)
    #expect(try RepairSample.content(sample.pack) == left)
    // Of a directory that holds no pack there is nothing to say.
    try FileManager.default.removeItem(atPath: sample.pack)
    try FileManager.default.createDirectory(
      atPath: sample.pack, withIntermediateDirectories: false)
    #expect(throws: PackError.self) { try sample.repair() }
  }

  @Test("what the source does not have stays, is named, and keeps nothing else from repair")
  func differingSource() throws {
    let sample = try RepairSample()
    let pack = try PackDirectory.open(sample.pack)
    let layer = pack.expertLayers[1]
    let stride = layer.geometry.recordStride
    // Expert 1 of layer 1 differs in the source as well, in its third slice.
    try FileBytes.flipBit(
      sample.source, offset: Int(layer.sources[0].offset(ofExpert: 2)) - 1, bit: 0)
    let wrong = (0..<PackLimits.splits).map { stride + $0 * layer.geometry.readBytes + 9 }
    for offset in wrong {
      try FileBytes.flipBit(sample.path(layer.fileName), offset: offset, bit: 4)
    }
    try FileBytes.flipBit(sample.path("resident.bin"), offset: 5, bit: 4)
    let report = try sample.repair()
    #expect(report.remaining.count == 1)
    let rest = try #require(report.remaining.first)
    #expect(rest.finding.layer == 1 && rest.finding.expert == 1 && rest.finding.slice == 3)
    #expect(rest.reason.contains("differs there, too") && !rest.isSystemFailure)
    #expect(report.repaired.count == 4)
    try FileBytes.flipBit(sample.path(layer.fileName), offset: wrong[3], bit: 4)
    #expect(try RepairSample.content(sample.pack) == sample.content)
    // A source of another shape gives nothing at all.
    try FileBytes.flipBit(sample.path(layer.fileName), offset: wrong[3], bit: 4)
    let other = sample.directory.file("other.gguf")
    try SyntheticModel().write(to: other)
    let none = try sample.repair(from: other)
    #expect(none.repaired.isEmpty && none.remaining.count == 1)
    #expect(none.remaining.first?.reason.contains("not the source of this pack") == true)
  }

  @Test("two damaged copies repair each other, and an in-place pack repairs a packed one")
  func copies() throws {
    let sample = try RepairSample()
    let copy = try sample.copy()
    for (offset, pack) in [(3, sample.pack), (70_001, copy)] {
      try FileBytes.flipBit(pack + "/layer-000.experts", offset: offset, bit: 1)
    }
    try sample.expectRestored(from: copy)
    let index = sample.directory.file("index.moepack")
    try convert(sample.source, to: index, kind: .inPlace)
    for name in sample.content.keys where !name.hasPrefix("headers/") && name != "manifest.json" {
      try FileBytes.flipBit(sample.path(name), offset: 11, bit: 0)
    }
    try sample.expectRestored(from: index)
  }

  @Test("a source in shards")
  func shards() throws {
    let directory = try TemporaryDirectory()
    let shards = try RepairSample.model.writeSplit(
      directory: directory.path, name: "model", count: 3)
    let pack = directory.file("model.moepack")
    try convert(shards[0], to: pack)
    let content = try RepairSample.content(pack)
    for name in content.keys.sorted() where !name.hasPrefix("manifest") {
      try FileManager.default.removeItem(atPath: pack + "/" + name)
    }
    let report = try PackRepair(directory: pack, source: shards[2], threads: 2).run(
      progress: .init(stage: { _, _ in }, add: { _ in }))
    #expect(report.isWhole && report.repaired.count == content.count - 1)
    #expect(try RepairSample.content(pack) == content)
  }

  @Test("of an in-place pack the tables are restored, and the source is never written to")
  func inPlace() throws {
    let sample = try RepairSample(kind: .inPlace)
    for name in sample.content.keys {
      try FileBytes.flipBit(sample.path(name), offset: 30, bit: 0)
      try sample.expectRestored("\(name)")
      try sample.remove(name)
      try sample.expectRestored("\(name)")
    }
    let good = sample.directory.file("good.gguf")
    try FileManager.default.copyItem(atPath: sample.source, toPath: good)
    let pack = try PackDirectory.open(sample.pack)
    let offset = Int(pack.expertLayers[0].sources[0].offset) + 7
    try FileBytes.flipBit(sample.source, offset: offset, bit: 0)
    let damaged = try FileBytes.read(sample.source)
    let report = try sample.repair(from: good)
    #expect(report.repaired.isEmpty && report.remaining.count == 1)
    #expect(report.remaining.first?.finding.layer == 0)
    #expect(report.remaining.first?.reason.contains("never writes") == true)
    #expect(try FileBytes.read(sample.source) == damaged)
  }

  @Test("an archive that another version of zstd compressed otherwise gets its content again")
  func otherCompression() throws {
    let sample = try RepairSample()
    // The manifest of a writer whose archive was a byte longer.
    let manifest = try PackManifest.load(directory: sample.pack)
    let opened = try PackDirectory.open(sample.pack)
    let name = HeaderArchive.fileName(shard: 0)
    let other = PackManifest(
      kind: .packed, architecture: manifest.architecture, sources: manifest.sources,
      files: manifest.files.map {
        $0.name == name
          ? .init(name: name, bytes: $0.bytes + 1, digest: Digest128(high: 1, low: 2)) : $0
      }, requantized: nil)
    let tensors = ManifestTensor.table(source: opened.source, layout: opened.layout)
    try sample.write(
      Data(other.text(layout: opened.layout, tensors: tensors).utf8), PackManifest.fileName)
    let report = try sample.repair()
    #expect(report.isWhole && report.notes.count == 1)
    #expect(try RepairSample.content(sample.pack) == sample.content)
  }

  @Test("a pack that is being written, a link and the pack itself are refused")
  func refusals() throws {
    let sample = try RepairSample()
    #expect(throws: FileIOError.self) { try sample.repair(from: sample.pack) }
    let linked = sample.directory.file("link.moepack")
    try FileManager.default.createSymbolicLink(
      atPath: linked, withDestinationPath: sample.pack)
    #expect(throws: FileIOError.self) { try sample.repair(from: linked) }
    do {
      let lock = try DirectoryLock(sample.pack)
      let error = #expect(throws: FileIOError.self) { try sample.repair() }
      #expect(error?.code == .inUse)
      withExtendedLifetime(lock) {}
    }
    #expect(throws: (any Error).self) { try sample.repair(from: "/nonexistent.gguf") }
    // Links that lead out of the pack are not followed.
    let victim = sample.directory.file("victim")
    let precious = Data(count: 1_000_000)
    for name in ["layer-000.experts", "resident.bin"] {
      try precious.write(to: URL(filePath: victim))
      try sample.remove(name)
      try FileManager.default.createSymbolicLink(
        atPath: sample.path(name), withDestinationPath: victim)
      let report = try sample.repair()
      #expect(report.remaining.contains { $0.finding.file == name && !$0.isSystemFailure })
      #expect(report.remaining.allSatisfy { $0.reason.contains("symbolic link") })
      #expect(try FileBytes.read(victim) == precious)
      try sample.remove(name)
      try sample.expectRestored("\(name)")
    }
    let folder = sample.directory.file("folder")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    try sample.remove("headers")
    try FileManager.default.createSymbolicLink(
      atPath: sample.path("headers"), withDestinationPath: folder)
    let report = try sample.repair()
    #expect(report.remaining.contains { $0.reason.contains("symbolic link") })
    #expect(try FileBytes.files(below: folder) == [])
    try sample.remove("headers")
    try sample.expectRestored()
    // An unfinished pack is finished by convert.
    try sample.remove(PackManifest.fileName)
    try sample.write(Data("moepack conversion in progress\n".utf8), PackJournal.fileName)
    let error = #expect(throws: PackError.self) { try sample.repair() }
    #expect(error?.description.contains("--resume") == true)
  }
}
