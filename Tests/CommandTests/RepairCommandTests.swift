import Foundation
import TestSupport
import Testing

@Suite("moepack repair on the command line", .serialized)
struct RepairCommandTests {
  /// The trained checkpoint's pack, and its bytes.
  private struct Sample {
    let directory: TemporaryDirectory
    let pack: String
    let content: [String: Data]
    /// Bytes of the units that are written at once, by file.
    let units: [String: Int]

    init() throws {
      directory = try TemporaryDirectory()
      let pack = directory.file("model.moepack")
      self.pack = pack
      let outcome = try Binary.moepack.run(["convert", Fixtures.checkpoint, "-o", pack])
      #expect(outcome.status == 0, "\(outcome.errors)")
      content = try Self.content(pack)
      let text = try #require(content["manifest.json"])
      let value = try JSONSerialization.jsonObject(with: text)
      let manifest = try #require(value as? [String: Any])
      var units = ["resident.bin": 1 << 20]
      for layer in try #require(manifest["layers"] as? [[String: Any]]) {
        let stride = try #require(layer["stride"] as? Int)
        units[try #require(layer["file"] as? String)] = stride / 4
      }
      self.units = units
    }

    static func content(_ pack: String) throws -> [String: Data] {
      let files = try FileBytes.files(below: pack).map {
        ($0, try FileBytes.read(pack + "/" + $0))
      }
      return Dictionary(uniqueKeysWithValues: files)
    }

    /// Flips `count` random bits of the files that `isChosen` chooses; returns the units that are damaged.
    func flip(
      _ count: Int, using random: inout RandomBytes, in isChosen: (String) -> Bool = { _ in true }
    ) throws -> Set<String> {
      let names = content.keys.filter(isChosen).sorted()
      let total = names.reduce(0) { $0 + (content[$1]?.count ?? 0) }
      var flipped: Set<[String]> = []
      for _ in 0..<count {
        var offset = Int.random(in: 0..<total, using: &random)
        let bit = Int.random(in: 0..<8, using: &random)
        for name in names {
          let length = content[name]?.count ?? 0
          guard offset >= length else {
            try FileBytes.flipBit(pack + "/" + name, offset: offset, bit: bit)
            flipped.formSymmetricDifference([[name, "\(offset)", "\(bit)"]])
            break
          }
          offset -= length
        }
      }
      return Set(
        flipped.map { place in
          let unit = units[place[0]] ?? Int.max
          return "\(place[0]) \((Int(place[1]) ?? 0) / unit * unit)"
        })
    }

    func repair(_ arguments: [String] = []) throws -> Binary.Outcome {
      try Binary.moepack.run(["repair", pack, "--from", Fixtures.checkpoint] + arguments)
    }
  }

  private func object(_ text: String) throws -> [String: Any] {
    let value = try JSONSerialization.jsonObject(with: Data(text.utf8))
    return try #require(value as? [String: Any])
  }

  private func places(_ findings: Any?) throws -> Set<String> {
    let findings = try #require(findings as? [[String: Any]])
    let places = try findings.map { finding in
      let file = try #require(finding["file"] as? String)
      let offset = try #require(finding["offset"] as? Int)
      return "\(file) \(offset)"
    }
    return Set(places)
  }

  @Test("1,000 flipped bits of the trained checkpoint's pack are put right")
  func thousandBits() throws {
    let sample = try Sample()
    var random = RandomBytes(seed: 5)
    let damaged = try sample.flip(1000, using: &random)
    #expect(damaged.count > 300)
    let outcome = try sample.repair(["--json"])
    #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
    let report = try object(outcome.output)
    #expect(report["ok"] as? Bool == true)
    #expect(try places(report["repaired"]) == damaged)
    #expect((report["unrepaired"] as? [Any])?.isEmpty == true)
    #expect(try Sample.content(sample.pack) == sample.content)
  }

  @Test("says what it did, slice by slice, and when there was nothing to do")
  func words() throws {
    let sample = try Sample()
    let nothing = try sample.repair()
    #expect(nothing.status == 0 && nothing.output.contains("nothing is damaged"))
    #expect(nothing.output.contains("nothing was written"))
    let unit = try #require(sample.units["layer-003.experts"])
    try FileBytes.flipBit(sample.pack + "/layer-003.experts", offset: 9 * unit + 1, bit: 2)
    let outcome = try sample.repair()
    #expect(outcome.status == 0 && outcome.errors.isEmpty)
    let lines = outcome.output.split(separator: "\n")
    #expect(
      lines[1].split(separator: " ")
        == ["layer-003.experts", "3", "2", "1", "\(9 * unit)", "\(unit)", "damaged"])
    #expect(lines[2].contains("whole again, 1 place in 1 file repaired"))
    #expect(try Sample.content(sample.pack) == sample.content)
  }

  @Test("what cannot be repaired gives exit status 1, what could not be tried 2")
  func failures() throws {
    let sample = try Sample()
    let unit = try #require(sample.units["layer-003.experts"])
    let copy = sample.directory.file("copy.moepack")
    for offset in [5, 9 * unit + 1] {
      try FileBytes.flipBit(sample.pack + "/layer-003.experts", offset: offset, bit: 2)
    }
    try FileManager.default.copyItem(atPath: sample.pack, toPath: copy)
    try FileBytes.flipBit(copy + "/layer-003.experts", offset: 5, bit: 2)
    let half = try Binary.moepack.run(["repair", sample.pack, "--from", copy])
    #expect(half.status == 1)
    #expect(half.output.contains("not repaired: layer-003.experts: layer 3, expert 2, slice 1"))
    #expect(half.output.contains("differs there, too"))
    #expect(half.errors.contains("1 place could not be repaired, 1 were"))
    for arguments in [
      [sample.pack, "--from", "/nonexistent.gguf"], ["/nonexistent.moepack", "--from", copy],
      [sample.pack, "--from", sample.pack],
    ] {
      let outcome = try Binary.moepack.run(["repair"] + arguments)
      #expect(outcome.status == 2 && outcome.output.isEmpty, "\(outcome.errors)")
      #expect(outcome.errors.hasPrefix("moepack: /"))
    }
    #expect(try Binary.moepack.run(["repair", sample.pack]).status == 64)
    let help = try Binary.moepack.run(["repair", "--help"])
    #expect(help.output.contains("USAGE: moepack repair"))
  }

  @Test("killed at any moment it leaves a pack that is no worse")
  func killed() throws {
    let sample = try Sample()
    var random = RandomBytes(seed: 8)
    func isWeights(_ name: String) -> Bool { sample.units[name] != nil }
    let start = ContinuousClock.now
    #expect(try sample.repair().status == 0)
    let microseconds = (ContinuousClock.now - start) / .microseconds(1)
    var partial = 0
    for round in 0..<20 {
      var damaged = try sample.flip(400, using: &random, in: isWeights)
      let process = Binary.moepack.process([
        "repair", sample.pack, "--from", Fixtures.checkpoint,
      ])
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      usleep(UInt32(Double.random(in: 0.2..<2.5 * microseconds, using: &random)))
      kill(process.processIdentifier, round % 2 == 0 ? SIGKILL : SIGINT)
      process.waitUntilExit()
      let left = try places(
        try object(try Binary.moepack.run(["verify", sample.pack, "--json"]).output)["findings"])
      #expect(left.isSubset(of: damaged), "round \(round): \(left.subtracting(damaged))")
      if !left.isEmpty, left != damaged { partial += 1 }
      damaged = left
      let outcome = try sample.repair(["--json"])
      #expect(outcome.status == 0)
      #expect(try places(try object(outcome.output)["repaired"]) == damaged)
      #expect(try Sample.content(sample.pack) == sample.content)
    }
    // Kills that all came too late or too early would show nothing.
    #expect(partial > 0)
  }
}
