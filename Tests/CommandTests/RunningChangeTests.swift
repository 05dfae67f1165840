import Foundation
import TestSupport
import Testing

@Suite("A pack that changes while moerun runs it", .serialized)
struct RunningChangeTests {
  /// Few experts fit: every token reads some.
  private static func arguments(_ pack: String) -> [String] {
    [
      "generate", pack, "-p", "There was once a poor woman, and", "-n", "160", "--ignore-eos",
      "--memory", "76MiB",
    ]
  }

  private static let expected = Result {
    try Binary.moerun.run(arguments(try SharedPack.shared.get().pack)).output
  }

  private static func copy(in directory: TemporaryDirectory) throws -> String {
    let pack = directory.file("model.moepack")
    try FileManager.default.copyItem(atPath: try SharedPack.shared.get().pack, toPath: pack)
    return pack
  }

  /// Starts a text, does `change` in its midst and returns how it ended.
  private static func run(_ pack: String, _ change: () throws -> Void) throws -> Binary.Outcome {
    let run = try PacedRun(Binary.moerun.process(arguments(pack)), lead: 60)
    try #require(run.waitForOutput(40))
    try change()
    return try #require(try run.end(within: 60), "hangs")
  }

  @Test("the text goes on as it was, or ends with the place", arguments: FileChange.allCases)
  func files(_ change: FileChange) throws {
    let directory = try TemporaryDirectory()
    let pack = try Self.copy(in: directory)
    let outcome = try Self.run(pack) {
      for name in try FileBytes.files(below: pack) { try change.apply(to: pack + "/" + name) }
    }
    let expected = try Self.expected.get()
    if change.isHarmless {
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.output == expected)
    } else {
      #expect(outcome.status == 2, "\(outcome.errors)")
      #expect(expected.hasPrefix(outcome.output), "\(outcome.output)")
      let pattern = #"layer-00\d.experts: layer \d, expert \d+, slice \d: .*moepack verify"#
      #expect(
        outcome.errors.range(of: pattern, options: .regularExpression) != nil,
        "\(outcome.errors)")
    }
  }

  @Test("the source of an in-place pack counts as well", arguments: FileChange.allCases)
  func source(_ change: FileChange) throws {
    let directory = try TemporaryDirectory()
    let (source, pack) = (directory.file("model.gguf"), directory.file("model.moepack"))
    try FileManager.default.copyItem(atPath: Fixtures.checkpoint, toPath: source)
    #expect(try Binary.moepack.run(["convert", source, "-o", pack, "--in-place"]).status == 0)
    let outcome = try Self.run(pack) { try change.apply(to: source) }
    let expected = try Self.expected.get()
    if change.isHarmless {
      #expect(outcome.status == 0 && outcome.output == expected, "\(outcome.errors)")
    } else {
      #expect(outcome.status == 2, "\(outcome.errors)")
      #expect(expected.hasPrefix(outcome.output), "\(outcome.output)")
      let pattern = #"model.gguf: layer \d, expert \d+, slice \d: "#
      #expect(
        outcome.errors.range(of: pattern, options: .regularExpression) != nil,
        "\(outcome.errors)")
    }
  }

  @Test("another pack in its place, or the same one written again, does no harm")
  func wholePack() throws {
    let directory = try TemporaryDirectory()
    let pack = try Self.copy(in: directory)
    let moved = try Self.run(pack) {
      try FileManager.default.moveItem(atPath: pack, toPath: directory.file("old.moepack"))
      try FileManager.default.createDirectory(atPath: pack, withIntermediateDirectories: false)
    }
    #expect(moved.status == 0, "\(moved.errors)")
    let expected = try Self.expected.get()
    #expect(moved.output == expected)
    try FileManager.default.removeItem(atPath: pack)
    try FileManager.default.moveItem(atPath: directory.file("old.moepack"), toPath: pack)
    let again = try Self.run(pack) {
      let arguments = ["convert", Fixtures.checkpoint, "-o", pack, "--overwrite"]
      let converted = try Binary.moepack.run(arguments)
      #expect(converted.status == 0, "\(converted.errors)")
    }
    #expect(again.status == 0, "\(again.errors)")
    #expect(again.output == expected)
  }
}
