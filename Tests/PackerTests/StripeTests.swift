import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import TestSupport
import Tensors
import Testing

/// A pack over several volumes, and the same in one directory.
private struct StripedSample {
  let directory: TemporaryDirectory
  let source: String
  let pack: String
  /// Where the volumes are.
  let volumes: [String]
  let single: String

  init(count: Int) throws {
    directory = try TemporaryDirectory()
    source = directory.file("model.gguf")
    try RepairSample.model.write(to: source)
    single = directory.file("single.moepack")
    try convert(source, to: single)
    pack = directory.file("model.moepack")
    let parents = (1...count).map { [directory] in directory.file("disk-\($0)") }
    for parent in parents {
      try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: false)
    }
    volumes = parents.enumerated().map { "\($1)/model.moepack.volume-\($0 + 1)" }
    try write(over: parents)
  }

  func write(
    over parents: [String], existing: ConversionOptions.Existing = .refuse
  ) throws {
    try PackWriter(source: try GGUFFile.open(source), kind: .packed, threads: 2).write(
      to: pack, options: .init(existing: existing, stripe: parents)
    ) { _ in }
  }

  /// All files of the pack and its volumes.
  func content() throws -> [String: Data] {
    var content: [String: Data] = [:]
    for folder in [pack] + volumes {
      for name in try FileBytes.files(below: folder) {
        content[folder + "/" + name] = try FileBytes.read(folder + "/" + name)
      }
    }
    return content
  }

  func findings() throws -> [PackFinding] {
    try PackVerifier(directory: pack, threads: 2).verify { _ in }.findings
  }

  func repair(from other: String? = nil) throws -> RepairReport {
    try PackRepair(directory: pack, source: other ?? source, threads: 2).run(
      progress: .init(stage: { _, _ in }, add: { _ in }))
  }

  var list: String { pack + "/" + PackVolumes.listName }
}

@Suite("Packs over several volumes")
struct StripeTests {
  @Test("each quarter has one place, one after the other in its volume", arguments: 1...4)
  func geometry(count: Int) {
    let stripe = Stripe(count: count)
    #expect((0..<count).reduce(0) { $0 + stripe.quarters(in: $1) } == PackLimits.splits)
    var ends = [UInt64](repeating: 0, count: count)
    for quarter in 0..<5 * PackLimits.splits {
      let (expert, slice) = quarter.quotientAndRemainder(dividingBy: PackLimits.splits)
      let volume = stripe.volume(ofSlice: slice)
      #expect(volume == slice % count)
      let offset = stripe.offset(expert: expert, slice: slice, quarterBytes: 100)
      #expect(offset == ends[volume])
      #expect(stripe.quarter(Int(offset / 100), of: volume) == quarter)
      for inside in [0, 1, 99] {
        let logical = UInt64(quarter * 100 + inside)
        for other in 0..<count {
          #expect(
            stripe.bytes(of: logical, quarterBytes: 100, volume: other)
              == ends[other] + (other == volume ? UInt64(inside) : 0))
        }
      }
      ends[volume] += 100
    }
  }

  @Test("holds the same slices, verifies, and exports the source", arguments: 1...4)
  func roundTrip(count: Int) throws {
    let sample = try StripedSample(count: count)
    #expect(try sample.findings() == [])
    let pack = try PackDirectory.open(sample.pack)
    let single = try PackDirectory.open(sample.single)
    #expect(pack.volumes == sample.volumes && pack.stripe.count == count)
    for name in ["checksums.xxh3", "resident.bin", "headers/00001.gguf.zst"] {
      #expect(
        try FileBytes.read(sample.pack + "/" + name) == FileBytes.read(sample.single + "/" + name))
    }
    for layer in pack.expertLayers {
      for expert in 0..<layer.expertCount {
        let striped = pack.placement(layer: layer.layer, expert: expert).reads
        let plain = single.placement(layer: layer.layer, expert: expert).reads
        for (slice, (one, other)) in zip(striped, plain).enumerated() {
          let path = pack.files[one.file].path
          #expect(path == "\(sample.volumes[slice % count])/\(layer.fileName)")
          #expect(one.checksum == other.checksum && one.slotOffset == other.slotOffset)
          #expect(
            try File.reading(path).bytes(at: one.offset, count: one.length)
              == File.reading(single.files[other.file].path)
              .bytes(at: other.offset, count: other.length))
        }
      }
    }
    for (index, layer) in pack.expertLayers.enumerated() {
      for volume in 0..<count {
        let file = pack.files[index * count + volume]
        #expect(try FileBytes.size(file.path) == Int(file.byteCount))
        #expect(file.byteCount == pack.stripe.fileBytes(layer, volume: volume))
      }
    }
    let exported = sample.directory.file("again.gguf")
    try PackExporter(pack: pack, threads: 2).export(to: exported, overwrite: false) { _ in }
    #expect(try FileBytes.read(exported) == FileBytes.read(sample.source))
    let other = try GGUFFile.open(sample.source)
    #expect(
      try SourceComparison(pack: pack, other: other, threads: 2).findings { _ in } == [])
    let text = String(
      decoding: try FileBytes.read(sample.pack + "/manifest.json"), as: UTF8.self)
    #expect(text.contains("\"version\": 3,\n") && text.contains("\"volumes\": ["))
  }

  @Test("damage is named by the volume's file, and repaired", arguments: [2, 3])
  func damage(count: Int) throws {
    let sample = try StripedSample(count: count)
    let content = try sample.content()
    let pack = try PackDirectory.open(sample.pack)
    for layer in pack.expertLayers {
      for slice in 0..<PackLimits.splits {
        let path = "\(sample.volumes[slice % count])/\(layer.fileName)"
        let unit = layer.geometry.readBytes
        let start = pack.stripe.offset(expert: 1, slice: slice, quarterBytes: unit)
        try FileBytes.flipBit(path, offset: Int(start) + 3, bit: 3)
        let findings = try sample.findings()
        let finding = try #require(findings.first)
        #expect(findings.count == 1 && finding.file == path && finding.kind == .damaged)
        #expect(finding.layer == layer.layer && finding.expert == 1 && finding.slice == slice)
        #expect(finding.offset == start && finding.length == UInt64(unit))
        let report = try sample.repair(from: slice == 0 ? sample.single : nil)
        #expect(report.isWhole && report.repaired == findings)
        #expect(report.bytesWritten == UInt64(unit))
        #expect(try sample.content() == content)
      }
    }
    for (path, bytes) in content
    where path.hasSuffix(".experts")
      || path.hasPrefix(sample.pack + "/")
        && path != sample.list
    {
      for changed in [bytes.prefix(bytes.count / 2 + 1), bytes + Data([1]), nil] {
        if let changed {
          try changed.write(to: URL(filePath: path))
        } else {
          try FileManager.default.removeItem(atPath: path)
        }
        let name =
          path.hasPrefix(sample.pack + "/")
          ? String(path.dropFirst(sample.pack.utf8.count + 1)) : path
        #expect(throws: (any Error).self, "\(name)") { try PackDirectory.open(sample.pack) }
        #expect(try sample.findings().contains { $0.file == name }, "\(name)")
        let report = try sample.repair()
        #expect(report.isWhole, "\(name): \(report.remaining)")
        #expect(try sample.content() == content, "\(name)")
      }
    }
    // Tables and a volume's files at once.
    for name in ["manifest.json", "checksums.xxh3"] {
      try FileManager.default.removeItem(atPath: sample.pack + "/" + name)
    }
    try FileBytes.flipBit(sample.pack + "/headers/00001.gguf.zst", offset: 20, bit: 0)
    #expect(try sample.repair(from: sample.single).isWhole)
    #expect(try sample.content() == content)
  }

  @Test("a volume moves with a line of the list; a wrong one is refused")
  func moving() throws {
    let sample = try StripedSample(count: 2)
    let manager = FileManager.default
    let good = try String(contentsOfFile: sample.list, encoding: .utf8)
    func edit(_ text: String) throws { try Data(text.utf8).write(to: URL(filePath: sample.list)) }
    func refused(_ part: String, location: SourceLocation = #_sourceLocation) throws {
      let error = #expect(throws: PackError.self, sourceLocation: location) {
        try PackDirectory.open(sample.pack)
      }
      #expect(error?.description.contains(part) == true, "\(String(describing: error))")
      let findings = try sample.findings()
      #expect(!findings.isEmpty, sourceLocation: location)
      let report = try sample.repair()
      #expect(!report.isWhole && report.bytesWritten == 0, sourceLocation: location)
    }
    let moved = sample.directory.file("elsewhere")
    try manager.moveItem(atPath: sample.volumes[1], toPath: moved)
    try refused("volume 2 of 2")
    try edit(good.replacing(sample.volumes[1], with: "../elsewhere"))
    #expect(try sample.findings() == [])
    try manager.moveItem(atPath: moved, toPath: sample.volumes[1])
    // Swapped, too few, too many, no text, none.
    try edit(sample.volumes.reversed().map { $0 + "\n" }.joined())
    try refused("this is not volume 1")
    try edit(sample.volumes[0])
    try refused("expected a line for each of the 2 volumes")
    try edit((0..<5).map { "\($0)\n" }.joined())
    try refused("found 5")
    try Data([0xFF, 0xFE]).write(to: URL(filePath: sample.list))
    try refused("UTF-8")
    try Data(count: 1 << 20).write(to: URL(filePath: sample.list))
    try refused("at most")
    try edit("\(sample.volumes[0])\n\(String(repeating: "a", count: 5000))\n")
    try refused("at most 4096 bytes")
    try manager.removeItem(atPath: sample.list)
    try refused("volumes.txt")
    try edit(good)
    // A volume of another model.
    let other = try StripedSample(count: 2)
    let label = sample.volumes[0] + "/" + PackVolumes.idName
    let content = try FileBytes.read(label)
    try SyntheticModel().write(to: other.source)
    try other.write(
      over: other.volumes.map { URL(filePath: $0).deletingLastPathComponent().path },
      existing: .replace)
    try edit(other.volumes.map { $0 + "\n" }.joined())
    try refused("this is not volume 1")
    try edit(good)
    try manager.removeItem(atPath: label)
    try refused("has no volume.txt")
    try content.write(to: URL(filePath: label))
    #expect(try sample.findings() == [])
  }

  @Test(
    "a volume's path with .., an absolute one, a link or the same twice is refused by name, and nothing there is written",
    arguments: ["../victim", "/victim", "link", "same"])
  func hostilePaths(path: String) throws {
    let sample = try StripedSample(count: 2)
    let victim = sample.directory.file("victim")
    let manager = FileManager.default
    try manager.createDirectory(atPath: victim, withIntermediateDirectories: false)
    let precious = victim + "/layer-000.experts"
    try Data("precious".utf8).write(to: URL(filePath: precious))
    try manager.createSymbolicLink(
      atPath: sample.pack + "/link", withDestinationPath: victim)
    let line =
      switch path {
      case "/victim": victim
      case "same": sample.volumes[0]
      default: path
      }
    try Data("\(sample.volumes[0])\n\(line)\n".utf8).write(to: URL(filePath: sample.list))
    let error = #expect(throws: PackError.self) { try PackDirectory.open(sample.pack) }
    #expect(error?.code == .wrongVolume, "\(String(describing: error))")
    #expect(error?.description.contains("volume 2 of") == true)
    #expect(try !sample.findings().isEmpty)
    let report = try sample.repair()
    #expect(!report.isWhole && report.bytesWritten == 0)
    #expect(try manager.contentsOfDirectory(atPath: victim) == ["layer-000.experts"])
    #expect(try FileBytes.read(precious) == Data("precious".utf8))
  }

  @Test(
    "volumes are made in directories that are there and hold nothing else, and go with the pack")
  func making() throws {
    let sample = try StripedSample(count: 2)
    let manager = FileManager.default
    let parents = sample.volumes.map { URL(filePath: $0).deletingLastPathComponent().path }
    let content = try sample.content()
    #expect(throws: FileIOError.self) {
      try sample.write(over: [sample.directory.file("unmounted")], existing: .replace)
    }
    #expect(throws: FileIOError.self) { try sample.write(over: parents) }
    #expect(try sample.content() == content)
    do {
      let lock = try DirectoryLock(sample.volumes[1])
      let error = #expect(throws: FileIOError.self) {
        try sample.write(over: parents, existing: .replace)
      }
      #expect(error?.code == .inUse)
      withExtendedLifetime(lock) {}
    }
    try sample.write(over: parents, existing: .replace)
    #expect(try sample.content() == content)
    // Replaced by a pack in one directory: the volumes go.
    try sample.write(over: [], existing: .replace)
    #expect(sample.volumes.allSatisfy { !manager.fileExists(atPath: $0) })
    #expect(
      try FileBytes.read(sample.pack + "/manifest.json")
        == FileBytes.read(sample.single + "/manifest.json"))
    // A stranger's files.
    try manager.createDirectory(atPath: sample.volumes[1], withIntermediateDirectories: false)
    let stranger = sample.volumes[1] + "/layer-000.experts"
    try Data("precious".utf8).write(to: URL(filePath: stranger))
    let error = #expect(throws: FileIOError.self) {
      try sample.write(over: parents, existing: .replace)
    }
    #expect(error?.description.contains("not of this pack") == true)
    #expect(try FileBytes.read(stranger) == Data("precious".utf8))
    // A list that leads to another pack's volumes: they stay.
    let other = try StripedSample(count: 2)
    try SyntheticModel().write(to: other.source)
    try other.write(
      over: other.volumes.map { URL(filePath: $0).deletingLastPathComponent().path },
      existing: .replace)
    let others = try other.content()
    try manager.removeItem(atPath: sample.volumes[1])
    try sample.write(over: parents, existing: .replace)
    try Data(other.volumes.map { $0 + "\n" }.joined().utf8).write(to: URL(filePath: sample.list))
    try sample.write(over: [], existing: .replace)
    #expect(try other.content() == others)
  }
}
