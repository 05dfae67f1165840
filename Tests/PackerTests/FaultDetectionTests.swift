import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import Synchronization
import TestSupport
import Tensors
import Testing

/// What a campaign of faults found out.
private struct Tally {
  var faults = 0
  /// Faults that nothing was said about, or something about another place.
  var missed = 0
  /// Some of them.
  var examples: [String] = []

  mutating func count(_ isFound: Bool, _ what: @autoclosure () -> String) {
    faults += 1
    guard !isFound else { return }
    missed += 1
    if examples.count < 10 { examples.append(what()) }
  }

  mutating func add(_ other: Tally) {
    faults += other.faults
    missed += other.missed
    examples += other.examples.prefix(10 - min(10, examples.count))
  }
}

/// Every fault of a kind, and whether `verify` names its place. Bits of weights are flipped in memory and
/// judged by the function that judges a unit in `verify`; everything else happens to real files, which
/// `verify` reads whole. With `MOEPACK_EVERY_BIT=1` in the environment the pack has 2 MiB and all of its
/// bits are flipped; else it is small, and of the bits of small files every 97th is.
@Suite("Detection of faults")
struct FaultDetectionTests {
  private static let isFull = ProcessInfo.processInfo.environment["MOEPACK_EVERY_BIT"] != nil
  private static let threads = isFull ? ProcessInfo.processInfo.activeProcessorCount : 2

  /// Two packs of one shape and other weights: what is stale comes from the second.
  private struct Sample {
    let directory: TemporaryDirectory
    let pack: String
    let stale: String

    init() throws {
      directory = try TemporaryDirectory()
      // Records of four slices of one page, the last bytes of each padding.
      let model = SyntheticModel(
        layers: FaultDetectionTests.isFull
          ? [
            .init(experts: 12, hidden: 64, intermediate: 128, gate: .f16, up: .f16, down: .f16),
            .init(experts: 11, hidden: 64, intermediate: 128, isFused: true),
            .init(experts: 9, hidden: 64, intermediate: 128, gate: .q8_0, up: .q8_0, down: .q4_0),
          ] : [.init(experts: 2), .init(experts: 1, isFused: true)])
      for (name, seed) in [("model", UInt64(1)), ("stale", 2)] {
        try model.write(to: directory.file("\(name).gguf"), seed: seed)
        try convert(directory.file("\(name).gguf"), to: directory.file("\(name).moepack"))
      }
      pack = directory.file("model.moepack")
      stale = directory.file("stale.moepack")
    }

    /// A copy of the pack for each thread.
    func copies() throws -> [String] {
      try (0..<FaultDetectionTests.threads).map { number in
        let path = directory.file("copy-\(number).moepack")
        try FileManager.default.copyItem(atPath: pack, toPath: path)
        return path
      }
    }
  }

  /// A place that has to be named.
  private struct Place {
    let file: String
    var unit: (layer: Int, expert: Int, slice: Int)?
    var range: Range<UInt64>?

    func isNamed(by finding: PackFinding) -> Bool {
      guard finding.file == file else { return false }
      if let unit, (finding.layer, finding.expert, finding.slice) != (unit.0, unit.1, unit.2) {
        return false
      }
      guard let range else { return true }
      return finding.offset <= range.lowerBound
        && range.upperBound <= finding.offset + finding.length
    }
  }

  /// Whether `verify` names each of `places` of the pack and no other file.
  private static func isFound(_ places: [Place], in pack: String) -> Bool {
    do {
      let findings = try PackVerifier(directory: pack, threads: 1).verify { _ in }.findings
      return places.allSatisfy { place in findings.contains(where: place.isNamed) }
        && findings.allSatisfy { finding in places.contains { $0.file == finding.file } }
    } catch let error as PackError {
      // A manifest of another version: nothing further is judged.
      return places.count == 1 && error.path.hasSuffix("/" + places[0].file)
    } catch {
      return false
    }
  }

  private static func report(_ name: String, _ tally: Tally, since start: ContinuousClock.Instant) {
    #expect(tally.missed == 0, "\(name): \(tally.examples)")
    #expect(tally.faults > 0)
    if isFull {
      print(
        "\(name): \(tally.faults) faults, \(tally.missed) missed, \(ContinuousClock.now - start)")
    }
  }

  @Test("every flipped bit of the weights is found, and its slice or block named")
  func bitsOfWeights() throws {
    let sample = try Sample()
    let pack = try PackDirectory.open(sample.pack)
    let start = ContinuousClock.now
    let total = Mutex(Tally())
    for part in PackPart.parts(of: pack) {
      let content = try FileBytes.read(sample.pack + "/" + part.file.name)
      // The units are the whole file: no bit is left out.
      var end: UInt64 = 0
      for unit in 0..<part.unitCount {
        #expect(part.range(unit).lowerBound == end)
        end = part.range(unit).upperBound
      }
      #expect(end == UInt64(content.count))
      try ParallelWork.forEach(part.unitCount, threads: Self.threads) { unit in
        let range = part.range(unit)
        let buffer = try AlignedBuffer(count: range.count)
        content.copyBytes(to: buffer.bytes, from: Int(range.lowerBound)..<Int(range.upperBound))
        let bytes = UnsafeRawBufferPointer(buffer.bytes)
        #expect(part.damage(unit: unit, bytes: bytes, table: pack.checksums) == nil)
        let place = Place(file: part.file.name, unit: part.place(unit), range: range)
        var tally = Tally()
        for byte in 0..<range.count {
          for bit in 0..<8 {
            buffer.bytes[byte] ^= 1 << bit
            let finding = part.damage(unit: unit, bytes: bytes, table: pack.checksums)
            tally.count(
              finding.map(place.isNamed) ?? false, "\(part.file.name), unit \(unit), byte \(byte)")
            buffer.bytes[byte] ^= 1 << bit
          }
        }
        total.withLock { $0.add(tally) }
      }
    }
    Self.report("flipped bits of weights", total.withLock { $0 }, since: start)
  }

  @Test("every flipped bit of manifest, checksum table and headers is found, and its file named")
  func bitsOfTables() throws {
    let sample = try Sample()
    let copies = try sample.copies()
    let weights = Set(PackPart.parts(of: try PackDirectory.open(sample.pack)).map(\.file.name))
    let start = ContinuousClock.now
    let total = Mutex(Tally())
    let stride = Self.isFull ? 1 : 97
    for name in try FileBytes.files(below: sample.pack) where !weights.contains(name) {
      let bits = try FileBytes.size(sample.pack + "/" + name) * 8
      try ParallelWork.forEach(copies.count, threads: copies.count) { thread in
        let path = copies[thread] + "/" + name
        var tally = Tally()
        for bit in Swift.stride(from: thread * stride, to: bits, by: stride * copies.count) {
          try FileBytes.flipBit(path, offset: bit / 8, bit: bit % 8)
          tally.count(
            Self.isFound([Place(file: name)], in: copies[thread]), "\(name), bit \(bit)")
          try FileBytes.flipBit(path, offset: bit / 8, bit: bit % 8)
        }
        total.withLock { $0.add(tally) }
      }
    }
    Self.report("flipped bits of tables", total.withLock { $0 }, since: start)
  }

  @Test("bits flipped in files are named by the whole of verify as in memory")
  func sampledBits() throws {
    let sample = try Sample()
    let copies = try sample.copies()
    let parts = PackPart.parts(of: try PackDirectory.open(sample.pack))
    let start = ContinuousClock.now
    let total = Mutex(Tally())
    try ParallelWork.forEach(copies.count, threads: copies.count) { thread in
      var random = RandomBytes(seed: UInt64(thread))
      var tally = Tally()
      for part in parts where part.unitCount > 0 {
        let path = copies[thread] + "/" + part.file.name
        for _ in 0..<(Self.isFull ? 1000 : 10) {
          let offset = Int.random(in: 0..<Int(part.file.byteCount), using: &random)
          let unit = offset / part.unitBytes
          let place = Place(
            file: part.file.name, unit: part.place(unit), range: part.range(unit))
          let bit = Int.random(in: 0..<8, using: &random)
          try FileBytes.flipBit(path, offset: offset, bit: bit)
          tally.count(
            Self.isFound([place], in: copies[thread]), "\(part.file.name), byte \(offset)")
          try FileBytes.flipBit(path, offset: offset, bit: bit)
        }
      }
      total.withLock { $0.add(tally) }
    }
    Self.report("flipped bits in files", total.withLock { $0 }, since: start)
  }

  @Test("every slice in the place of every other one is found and named")
  func everyPair() throws {
    let sample = try Sample()
    let pack = try PackDirectory.open(sample.pack)
    let start = ContinuousClock.now
    var units: [(part: PackPart, unit: Int, bytes: [UInt8])] = []
    for part in PackPart.parts(of: pack) {
      let content = try FileBytes.read(sample.pack + "/" + part.file.name)
      for unit in 0..<part.unitCount {
        let range = part.range(unit)
        units.append((part, unit, Array(content[Int(range.lowerBound)..<Int(range.upperBound)])))
      }
    }
    var tally = Tally()
    for (index, (part, unit, bytes)) in units.enumerated() {
      let place = Place(file: part.file.name, unit: part.place(unit), range: part.range(unit))
      for (from, other) in units.enumerated()
      where from != index && other.bytes.count == bytes.count {
        let finding = other.bytes.withUnsafeBytes {
          part.damage(unit: unit, bytes: $0, table: pack.checksums)
        }
        tally.count(finding.map(place.isNamed) ?? false, "unit \(from) at \(index)")
      }
    }
    Self.report("slices in other places", tally, since: start)
  }

  @Test("swapped, duplicated, zeroed and stale slices in files are found and named")
  func misplacedSlices() throws {
    let sample = try Sample()
    let start = ContinuousClock.now
    var tally = Tally()
    for part in PackPart.parts(of: try PackDirectory.open(sample.pack)) {
      let path = sample.pack + "/" + part.file.name
      let content = try FileBytes.read(path)
      let stale = try FileBytes.read(sample.stale + "/" + part.file.name)
      func bytes(_ unit: Int, of data: Data) -> Data {
        let range = part.range(unit)
        return data[Int(range.lowerBound)..<Int(range.upperBound)]
      }
      func judge(_ what: String, _ changes: [Int: Data]) throws {
        var changed = content
        for (unit, bytes) in changes {
          let first = Int(part.range(unit).lowerBound)
          changed.replaceSubrange(first..<first + bytes.count, with: bytes)
        }
        try changed.write(to: URL(filePath: path))
        let places = changes.keys.map {
          Place(file: part.file.name, unit: part.place($0), range: part.range($0))
        }
        tally.count(
          Self.isFound(places, in: sample.pack), "\(part.file.name): \(what) \(changes.keys)")
      }
      for unit in 0..<part.unitCount {
        try judge("zeroed", [unit: Data(count: part.range(unit).count)])
        try judge("stale", [unit: bytes(unit, of: stale)])
        guard unit > 0 else { continue }
        try judge("duplicated", [unit: bytes(unit - 1, of: content)])
        try judge(
          "swapped", [unit: bytes(unit - 1, of: content), unit - 1: bytes(unit, of: content)])
      }
      try content.write(to: URL(filePath: path))
    }
    // Whole files of the other pack: every slice of them is stale.
    for name in try FileBytes.files(below: sample.pack) where name != PackManifest.fileName {
      let content = try FileBytes.read(sample.pack + "/" + name)
      let other = try FileBytes.read(sample.stale + "/" + name)
      guard other != content else { continue }
      try other.write(to: URL(filePath: sample.pack + "/" + name))
      tally.count(Self.isFound([Place(file: name)], in: sample.pack), "stale \(name)")
      try content.write(to: URL(filePath: sample.pack + "/" + name))
    }
    Self.report("swapped, duplicated, zeroed, stale", tally, since: start)
  }

  @Test("every file cut at every page is found, and where it ends")
  func truncations() throws {
    let sample = try Sample()
    let start = ContinuousClock.now
    var tally = Tally()
    for name in try FileBytes.files(below: sample.pack) {
      let path = sample.pack + "/" + name
      let content = try FileBytes.read(path)
      let step = content.count > 16384 ? 4096 : 512
      for length in stride(from: 0, to: content.count, by: step) {
        try content.prefix(length).write(to: URL(filePath: path))
        let range = UInt64(length)..<UInt64(content.count)
        // A manifest says nothing about its own length.
        let place = Place(file: name, range: name == PackManifest.fileName ? nil : range)
        tally.count(Self.isFound([place], in: sample.pack), "\(name), \(length) bytes")
      }
      try content.write(to: URL(filePath: path))
    }
    Self.report("files cut at every page", tally, since: start)
  }
}
