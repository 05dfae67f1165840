import Foundation
import TestSupport
import Testing

@Suite(
  "The wall: moerun in a memory group of exactly --memory", .serialized,
  .enabled(if: MemoryGroup.reasonForNone == nil))
struct MemoryWallTests {
  /// A command that runs a model, with its options but for the pack.
  private static let commands: [(name: String, options: [String])] = [
    ("generate", ["-p", "There was once", "-n", "120", "--ignore-eos"]),
    ("generate", ["-p", "There", "-n", "40", "--temperature", "1", "--top-k", "0"]),
    ("bench", ["--prefill", "300", "--decode", "30"]),
    (
      "bench", ["--prefill", "40", "--decode", "30", "--io-backend", "pread", "--io-threads", "64"]
    ),
    (
      "perplexity",
      ["-f", Fixtures.path("golden/tiny-qwen35moe-seedmix/ref.txt"), "--context", "64"]
    ),
  ]

  /// The least `--memory` that `command` accepts, by its own words; rounded up to 0.1 MiB.
  private static func minimum(_ command: String, _ pack: String, _ options: [String]) throws -> Int
  {
    let refused = try Binary.moerun.run([command, pack, "--memory", "70MiB"] + options)
    #expect(refused.status == 2, "\(refused.errors)")
    let words = try #require(
      refused.errors.firstMatch(of: /give at least (\d+)\.(\d) MiB/), "\(refused.errors)")
    let (whole, tenths) = (try #require(Int(words.1)), try #require(Int(words.2)))
    return (whole * 10 + tenths) * (1 << 20) / 10 / 4096 * 4096 + 4096
  }

  /// Runs a command in a group of `budget` bytes and returns its report's peak.
  private static func run(
    _ command: String, _ pack: String, _ options: [String], budget: Int
  ) throws -> Int {
    let group = try MemoryGroup(limit: budget)
    let run = try PacedRun(
      group.process(.moerun, [command, pack, "--memory", "\(budget)", "--json"] + options))
    let outcome = try #require(try run.end(within: 120), "\(command) hangs")
    #expect(outcome.status == 0, "\(command), \(budget): \(outcome.errors)")
    #expect(group.killCount == 0)
    #expect(group.peak > 0 && group.peak <= budget)
    let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    let memory = try #require((object as? [String: Any])?["memory"] as? [String: Any])
    #expect(memory["budget_bytes"] as? Int == budget)
    let peak = try #require(memory["peak_bytes"] as? Int)
    #expect(peak <= budget, "\(command) \(options) takes \(peak) of \(budget)")
    return peak
  }

  @Test("the peak never exceeds it, from the smallest one accepted upward", arguments: 0..<5)
  func small(_ index: Int) throws {
    let pack = try SharedPack.shared.get().pack
    let (command, options) = Self.commands[index]
    let minimum = try Self.minimum(command, pack, options)
    for more in [0, 600_000, 40 << 20] {
      _ = try Self.run(command, pack, options, budget: (minimum + more) / 4096 * 4096)
    }
  }

  @Test("a vocabulary of 248,320 tokens is counted, too")
  func largeVocabulary() throws {
    let directory = try TemporaryDirectory()
    let (tokenizer, recipe) = (directory.file("tokenizer.gguf"), directory.file("recipe.yaml"))
    let pack = directory.file("large.moepack")
    try LargeVocabulary.write(to: tokenizer)
    try SmallRecipe.write(to: recipe, ["vocabulary_size": "\(LargeVocabulary.size)"])
    let made = try Binary.moepack.run([
      "synth", recipe, "-o", pack, "--tokenizer", tokenizer,
    ])
    #expect(made.status == 0, "\(made.errors)")
    for index in [0, 2, 4] {
      let (command, options) = Self.commands[index]
      let minimum = try Self.minimum(command, pack, options)
      let peak = try Self.run(command, pack, options, budget: minimum)
      // The sum is not a far guess either: what was set aside for the process is used.
      #expect(minimum - peak < 40 << 20, "\(command): \(peak) of \(minimum)")
    }
  }

  @Test("without --memory the group's limit counts, four fifths of it")
  func defaultBudget() throws {
    let pack = try SharedPack.shared.get().pack
    let group = try MemoryGroup(limit: 120 << 20)
    let run = try PacedRun(
      group.process(.moerun, ["generate", pack, "-p", "There", "-n", "20", "--json"]))
    let outcome = try #require(try run.end(within: 60))
    let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    let memory = try #require((object as? [String: Any])?["memory"] as? [String: Any])
    #expect(memory["budget_bytes"] as? Int == 96 << 20)
  }

  @Test("a limit that falls to what is in use changes nothing")
  func shrinking() throws {
    let pack = try SharedPack.shared.get().pack
    let arguments = [
      "generate", pack, "-p", "There was once", "-n", "200", "--ignore-eos", "--memory", "96MiB",
    ]
    let expected = try Binary.moerun.run(arguments)
    let group = try MemoryGroup(limit: 200 << 20)
    let run = try PacedRun(group.process(.moerun, arguments), lead: 300)
    try #require(run.waitForOutput(280))
    // Room for the slots that no expert has been read to yet, but for nothing else.
    let usage = group.usage
    try group.setLimit((usage + (6 << 20)) / 4096 * 4096)
    let outcome = try #require(try run.end(within: 60), "hangs")
    #expect(outcome.status == 0 && outcome.output == expected.output, "\(outcome.errors)")
    #expect(group.killCount == 0)
  }
}

@Suite("moerun that the system refuses memory")
struct RefusedMemoryTests {
  @Test("says so at the start, and ends")
  func refused() throws {
    let pack = try SharedPack.shared.get().pack
    for kibibytes in [40_000, 60_000, 80_000] {
      let shell = Process()
      shell.executableURL = URL(filePath: "/bin/sh")
      shell.arguments = [
        "-c", "ulimit -v \(kibibytes) && exec \"$0\" \"$@\"", Binary.moerun.path, "generate", pack,
        "-p", "There", "-n", "2000", "--ignore-eos", "--context", "100000", "--memory", "4GiB",
      ]
      let outcome = try #require(try PacedRun(shell).end(within: 60))
      #expect(outcome.status == 2, "\(kibibytes): \(outcome.errors)")
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.contains("memory: the system refused"), "\(outcome.errors)")
    }
  }
}
