internal import Tensors
import Foundation
import TestSupport
import Testing

@Suite("moepack on the command line")
struct MoepackCommandTests {
  /// A source and its pack, made once with the tool itself.
  private struct Sample {
    let directory: TemporaryDirectory
    let source: String
    let pack: String

    init() throws {
      directory = try TemporaryDirectory()
      source = directory.file("model.gguf")
      pack = directory.file("model.moepack")
      try SyntheticModel(layers: [.init(gate: .q8_0, up: .q8_0, down: .q4_0)]).write(to: source)
      let outcome = try Binary.moepack.run(["convert", source, "-o", pack])
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
  }

  @Test("the whole way: inspect, plan, convert, verify, export")
  func wholeWay() throws {
    let sample = try Sample()
    let inspect = try Binary.moepack.run(["inspect", sample.source])
    #expect(inspect.status == 0 && inspect.output.contains("general.architecture"))
    #expect(inspect.output.contains("general.architecture = string 'synthetic'"))
    let plan = try Binary.moepack.run(["plan", sample.source])
    #expect(plan.status == 0 && plan.output.contains("Q8_0/Q8_0/Q4_0"))
    let verify = try Binary.moepack.run(["verify", sample.pack, "--against", sample.source])
    #expect(verify.status == 0 && verify.output.contains("intact"))
    #expect(verify.errors.isEmpty)
    let copy = sample.directory.file("copy.gguf")
    let export = try Binary.moepack.run(["export", sample.pack, "-o", copy])
    #expect(export.status == 0 && export.output.contains("identical"))
    #expect(try FileBytes.read(copy) == FileBytes.read(sample.source))
  }

  @Test("every --json is one JSON object with snake_case keys")
  func json() throws {
    let sample = try Sample()
    func object(_ arguments: [String]) throws -> [String: Any] {
      let outcome = try Binary.moepack.run(arguments)
      #expect(outcome.status == 0, "\(outcome.errors)")
      let value = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
      return try #require(value as? [String: Any])
    }
    let inspect = try object(["inspect", sample.source, "--json"])
    #expect(inspect["architecture"] as? String == "synthetic")
    #expect(inspect["tensor_count"] as? Int == 8)
    let plan = try object(["plan", sample.source, "--json"])
    #expect(plan["experts_used"] as? Int == 2)
    #expect((plan["layers"] as? [[String: Any]])?.first?["compute_slices"] as? Int == 4)
    let verify = try object(["verify", sample.pack, "--json"])
    #expect(verify["ok"] as? Bool == true)
    #expect((verify["findings"] as? [Any])?.isEmpty == true)
    #expect((verify["bytes"] as? Int ?? 0) > 0)
    let copy = sample.directory.file("copy.gguf")
    let export = try object(["export", sample.pack, "-o", copy, "--json"])
    #expect(export["files"] as? [String] == [copy])
    let convert = try object([
      "convert", sample.source, "-o", sample.directory.file("b.moepack"), "--in-place", "--json",
    ])
    #expect(convert["kind"] as? String == "in_place")
  }

  @Test("damage gives exit status 1 and names the place, also in JSON")
  func damage() throws {
    let sample = try Sample()
    try FileBytes.flipBit(sample.pack + "/layer-000.experts", offset: 65536 + 16384 + 5, bit: 3)
    let text = try Binary.moepack.run(["verify", sample.pack])
    #expect(text.status == 1)
    #expect(text.output.contains("layer-000.experts: layer 0, expert 1, slice 1"))
    #expect(text.output.contains("(bytes 81920..<98304)"))
    let json = try Binary.moepack.run(["verify", sample.pack, "--json"])
    #expect(json.status == 1)
    let value = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
    let finding = try #require((value?["findings"] as? [[String: Any]])?.first)
    #expect(finding["file"] as? String == "layer-000.experts")
    #expect(finding["layer"] as? Int == 0 && finding["expert"] as? Int == 1)
    #expect(finding["slice"] as? Int == 1 && finding["kind"] as? String == "damaged")
    #expect(finding["offset"] as? Int == 81920 && finding["length"] as? Int == 16384)
  }

  @Test("a difference from the source gives exit status 1")
  func difference() throws {
    let sample = try Sample()
    let size = try FileBytes.size(sample.source)
    try FileBytes.flipBit(sample.source, offset: size / 2, bit: 0)
    let outcome = try Binary.moepack.run(["verify", sample.pack, "--against", sample.source])
    #expect(outcome.status == 1 && outcome.output.contains("differs"))
  }

  /// Arguments, exit status and a part of the message.
  static let failures: [(arguments: [String], status: Int32, message: String)] = [
    ([], 0, "USAGE"),
    (["--wrong"], 64, "Unknown option '--wrong'"),
    (["frobnicate"], 64, "frobnicate"),
    (["convert"], 64, "file"),
    (["convert", "x.gguf"], 64, "--output"),
    (["convert", "x.gguf", "-o", "y", "--threads", "0"], 64, "--threads takes 1 to 256"),
    (["inspect", "/nonexistent.gguf"], 2, "moepack: /nonexistent.gguf: no such file"),
    (["plan", "/nonexistent.gguf"], 2, "moepack: /nonexistent.gguf: no such file"),
    (["verify", "/nonexistent.moepack"], 2, "moepack: /nonexistent.moepack: no such"),
    (["export", "/nonexistent.moepack", "-o", "x"], 2, "is not a pack"),
  ]

  @Test("what cannot be done says so with the right exit status", arguments: failures.indices)
  func failure(index: Int) throws {
    let item = Self.failures[index]
    let outcome = try Binary.moepack.run(item.arguments)
    #expect(outcome.status == item.status, "\(item.arguments): \(outcome.errors)")
    let text = item.status == 0 ? outcome.output : outcome.errors
    #expect(text.contains(item.message), "\(item.arguments): \(text)")
    if item.status != 0 { #expect(outcome.output.isEmpty) }
  }

  @Test("a truncated source is refused with file, field and offset, and nothing is left behind")
  func truncatedSource() throws {
    let sample = try Sample()
    let content = try FileBytes.read(sample.source)
    let cut = sample.directory.file("cut.gguf")
    for length in [0, 3, 23, 60, 200, content.count / 2, content.count - 1] {
      try content.prefix(length).write(to: URL(filePath: cut))
      let target = sample.directory.file("cut.moepack")
      let outcome = try Binary.moepack.run(["convert", cut, "-o", target])
      #expect(outcome.status == 2, "\(length) bytes")
      #expect(outcome.errors.contains("cut.gguf"), "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: target))
    }
  }

  @Test("a reader that goes away ends the tool quietly")
  func brokenPipe() throws {
    let sample = try Sample()
    let process = Binary.moepack.process(["inspect", sample.source, "--tensors"])
    let pipe = Pipe()
    try pipe.fileHandleForReading.close()
    process.standardOutput = pipe
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 0)
    #expect(errors.fileHandleForReading.availableData.isEmpty)
  }

  @Test("the help names every command and its arguments")
  func help() throws {
    let outcome = try Binary.moepack.run(["--help"])
    for name in ["inspect", "plan", "convert", "verify", "repair", "export"] {
      #expect(outcome.output.contains(name))
      let help = try Binary.moepack.run([name, "--help"])
      #expect(help.status == 0)
      #expect(help.output.contains("USAGE: moepack \(name)"), "\(help.output)")
      for line in help.output.split(separator: "\n") where !line.hasPrefix("USAGE:") {
        #expect(line.count <= 80, "\(line)")
      }
    }
  }
}
