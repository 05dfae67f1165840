import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import TestSupport
import Tensors
import Testing

@Suite("Conversions that go on")
struct ResumeTests {
  /// A source, its finished pack, and the name of another one.
  private struct Place {
    let directory: TemporaryDirectory
    let source: String
    let whole: String
    let pack: String

    init(_ model: SyntheticModel) throws {
      directory = try TemporaryDirectory()
      source = directory.file("model.gguf")
      whole = directory.file("whole.moepack")
      pack = directory.file("model.moepack")
      try model.write(to: source)
      try convert(source, to: whole)
    }

    func resume(
      consuming: Bool = false, checkpointBytes: Int? = nil, stopAfter: UInt64 = .max
    ) throws {
      let opened = try UnfinishedPack.find(in: pack)?.source(source) ?? GGUFFile.open(source)
      // One thread makes and claims one piece after the other.
      let writer = try PackWriter(source: opened, kind: .packed, threads: 1)
      let done = Progress()
      try writer.write(
        to: pack,
        options: .init(
          existing: .resume, consumesSource: consuming, checkpointBytes: checkpointBytes)
      ) { bytes in
        // A file that cannot be opened any more stops the conversion as a failing disk would.
        if done.add(bytes) > stopAfter { done.spoil(pack) }
      }
    }

    func expectWhole() throws {
      let names = try FileBytes.files(below: whole)
      #expect(try FileBytes.files(below: pack) == names)
      for name in names {
        #expect(
          try FileBytes.read(pack + "/" + name) == FileBytes.read(whole + "/" + name), "\(name)")
      }
    }
  }

  /// Counts progress, and makes the next layer's file a directory.
  private final class Progress: @unchecked Sendable {
    // Sendable: behind `lock`.
    private let lock = NSLock()
    private var bytes: UInt64 = 0
    private var isSpoiled = false

    func add(_ count: UInt64) -> UInt64 {
      lock.withLock {
        bytes += count
        return bytes
      }
    }

    func spoil(_ pack: String) {
      lock.withLock {
        guard !isSpoiled else { return }
        isSpoiled = true
        for layer in (0..<8).reversed() {
          let path = "\(pack)/layer-00\(layer).experts"
          guard !FileManager.default.fileExists(atPath: path) else { break }
          try? FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false)
        }
      }
    }
  }

  private static func clear(_ pack: String) throws {
    for name in try FileManager.default.contentsOfDirectory(atPath: pack)
    where Directory.exists(pack + "/" + name) && name != "headers" {
      try FileManager.default.removeItem(atPath: pack + "/" + name)
    }
  }

  /// Layers whose tensors come in different orders of the file.
  private static let models = [
    SyntheticModel(layers: [.init(experts: 20), .init(experts: 20), .init(experts: 20)]),
    SyntheticModel(
      layers: [.init(experts: 9, isFused: true), .init(experts: 9, gate: nil), .init(experts: 5)]),
  ]

  @Test(
    "one that failed in the middle goes on, and its pack is that of an undisturbed one",
    arguments: [0, 1], [false, true])
  func afterFailure(model: Int, consuming: Bool) throws {
    let place = try Place(Self.models[model])
    let original = try FileBytes.read(place.source)
    for share in [0.0, 0.3, 0.6] {
      _ = try? place.resume(
        consuming: consuming, checkpointBytes: 1 << 20,
        stopAfter: UInt64(Double(original.count) * share))
      try Self.clear(place.pack)
      #expect(FileManager.default.fileExists(atPath: place.pack + "/convert.journal"))
    }
    try place.resume(consuming: consuming, checkpointBytes: 1 << 20)
    try place.expectWhole()
    let source = try FileBytes.read(place.source)
    #expect(consuming ? source.allSatisfy { $0 == 0 } : source == original)
    let again = place.directory.file("again.gguf")
    try PackExporter(pack: try PackDirectory.open(place.pack), threads: 2).export(
      to: again, overwrite: false
    ) { _ in }
    #expect(try FileBytes.read(again) == original)
  }

  /// The first layer gets a quick look, at its ends; the last one that was claimed is read whole.
  @Test(
    "what was altered after it was claimed is made again, or refused without its source",
    arguments: [(0, 100), (1, 70_000)], [false, true])
  func alteredClaims(place flip: (layer: Int, offset: Int), consuming: Bool) throws {
    let place = try Place(Self.models[0])
    // Stops before the third layer.
    _ = try? place.resume(
      consuming: consuming, stopAfter: UInt64(try FileBytes.size(place.source)) / 2)
    try Self.clear(place.pack)
    let name = "layer-00\(flip.layer).experts"
    try FileBytes.flipBit(place.pack + "/" + name, offset: flip.offset, bit: 3)
    guard consuming else {
      try place.resume()
      return try place.expectWhole()
    }
    let error = #expect(throws: PackError.self) { try place.resume(consuming: true) }
    #expect(error?.code == .damaged && error?.path.hasSuffix(name) == true)
  }

  @Test("another source, another kind and a damaged journal are refused by name")
  func wrongSource() throws {
    let place = try Place(Self.models[0])
    let size = UInt64(try FileBytes.size(place.source))
    _ = try? place.resume(stopAfter: size / 2)
    try Self.clear(place.pack)
    let journal = try FileBytes.read(place.pack + "/convert.journal")

    let other = place.directory.file("other.gguf")
    try SyntheticModel(layers: [.init(experts: 20), .init(experts: 20), .init(experts: 21)])
      .write(to: other)
    // The same header with other weights: told by a look at what is there.
    let changed = place.directory.file("changed.gguf")
    try Self.models[0].write(to: changed, seed: 2)
    for path in [other, changed] {
      let error = #expect(throws: PackError.self) {
        try PackWriter(source: try GGUFFile.open(path), kind: .packed, threads: 1).write(
          to: place.pack, options: .init(existing: .resume)
        ) { _ in }
      }
      #expect(error?.code == .wrongSource, "\(path): \(String(describing: error))")
    }
    let kind = #expect(throws: PackError.self) {
      try PackWriter(source: try GGUFFile.open(place.source), kind: .inPlace, threads: 1).write(
        to: place.pack, options: .init(existing: .resume)
      ) { _ in }
    }
    #expect(kind?.code == .wrongSource)

    try FileBytes.flipBit(place.pack + "/convert.journal", offset: journal.count / 2, bit: 1)
    let damaged = #expect(throws: PackError.self) { try place.resume() }
    #expect(damaged?.code == .damaged && damaged?.message.contains("--overwrite") == true)
    try journal.write(to: URL(filePath: place.pack + "/convert.journal"))
    try place.resume()
    try place.expectWhole()
  }

  @Test("tensors in any order of the file give the same digests")
  func orders() throws {
    let directory = try TemporaryDirectory()
    // Gates of all layers, then ups, then downs: nearly all bytes wait for others before them.
    let names = ["gate", "up", "down"].flatMap { role in
      (0..<4).map { "blk.\($0).ffn_\(role)_exps.weight" }
    }
    for order in [names, Array(names.reversed()), names.sorted()] {
      var metadata = GGUFMetadata()
      metadata.set(.string(GGUFString("synthetic")), for: "general.architecture")
      var writer = GGUFWriter(metadata: metadata, alignment: 32)
      for name in order { writer.add(name, type: .f16, dimensions: [64, 64, 30]) }
      writer.add("output_norm.weight", type: .f32, dimensions: [77])
      var random = RandomBytes(seed: 5)
      let source = directory.file("model.gguf")
      try writer.write(to: try File.creating(source)) { tensor, emit in
        let bytes = random.next(count: Int(tensor.byteCount))
        try emit(bytes.span.bytes)
      }
      let pack = directory.file("model.moepack")
      try convert(source, to: pack, threads: 3, overwrite: true)
      let bytes = try FileBytes.read(source)
      let digest = bytes.withUnsafeBytes { XXH3.hash128($0) }
      #expect(try PackDirectory.open(pack).manifest.sources[0].xxh3_128 == digest.description)
      #expect(try PackVerifier(directory: pack, threads: 2).verify { _ in }.findings == [])
      #expect(try FileBytes.files(below: pack).contains { $0.contains("journal") } == false)
    }
  }

  @Test("experts that are too large for memory are cut on the way, packed and in place")
  func wideExperts() throws {
    let model = SyntheticModel(layers: [
      .init(experts: 1, hidden: 1536, intermediate: 4096),
      .init(experts: 1, hidden: 1536, intermediate: 4128, gate: .q8_0, isFused: true),
    ])
    let place = try Place(model)
    #expect(
      try PackDirectory.open(place.whole).expertLayers.map(\.geometry.computeSlices) == [4, 4])
    #expect(try PackVerifier(directory: place.whole, threads: 4).verify { _ in }.findings == [])
    let again = place.directory.file("again.gguf")
    try PackExporter(pack: try PackDirectory.open(place.whole), threads: 1).export(
      to: again, overwrite: false
    ) { _ in }
    #expect(try FileBytes.read(again) == FileBytes.read(place.source))
    let index = place.directory.file("index.moepack")
    try convert(place.source, to: index, kind: .inPlace)
    #expect(try PackVerifier(directory: index, threads: 2).verify { _ in }.findings == [])
  }

  @Test("the room is known before anything is written, and said with the figures")
  func room() throws {
    let place = try Place(Self.models[0])
    let source = try GGUFFile.open(place.source)
    let space = PackSpace(source: source, layout: try PackLayout(source: source), kind: .packed)
    let written = try FileBytes.files(below: place.whole).reduce(0) {
      $0 + UInt64(try FileBytes.size(place.whole + "/" + $1))
    }
    #expect(space.packBytes >= written && space.packBytes < written + (4 << 20))
    #expect(space.needed(consuming: true) <= space.needed(consuming: false))
    // A checkpoint that no disk holds.
    let huge = PackSpace(
      source: source, layout: try PackLayout(source: source), kind: .packed, stepBytes: 1)
    #expect(huge.stepBytes <= space.stepBytes)
    try space.check(at: place.pack, present: 0, consuming: false)
  }
}
