import Foundation
import TestSupport
import Testing

@Suite("Hot sets, statistics and the live view on the command line")
struct ObservationTests {
  private let pack: String
  private let directory: TemporaryDirectory
  private var environment: [String: String] { ["XDG_CACHE_HOME": directory.file("cache")] }

  init() throws {
    pack = try SharedPack.shared.get().pack
    directory = try TemporaryDirectory()
  }

  private func report(_ arguments: [String]) throws -> [String: Any] {
    let outcome = try Binary.moerun.run(arguments, environment: environment)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let value = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    return try #require(value as? [String: Any])
  }

  private var hotSets: [String] {
    get throws {
      try FileBytes.files(below: directory.file("cache")).filter { $0.contains("hot-") }
    }
  }

  private var generation: [String] {
    [
      "generate", pack, "-p", "It was in the year", "-n", "8", "--memory", "90MiB", "--json",
    ]
  }

  @Test("a run begins with what was hot at the end of the last one, and writes the same text")
  func warmed() throws {
    let packFiles = try FileBytes.files(below: pack)
    let first = try report(generation)
    #expect(first["warm_experts"] as? Int == 0 && first["warm_bytes"] as? Int == 0)
    #expect(try hotSets.count == 1)
    let second = try report(generation)
    let warmExperts = try #require(second["warm_experts"] as? Int)
    let warmBytes = try #require(second["warm_bytes"] as? Int)
    #expect(warmExperts > 0 && warmBytes > 0)
    #expect(second["text"] as? String == first["text"] as? String)
    let phases = [second["prefill"], second["decode"]].compactMap { $0 as? [String: Any] }
    for key in ["experts_requested"] {
      let sums = [first, second].map { run in
        ["prefill", "decode"].reduce(0) { sum, phase in
          sum + ((run[phase] as? [String: Any])?[key] as? Int ?? -1)
        }
      }
      #expect(sums[0] == sums[1])
    }
    for phase in phases {
      #expect(
        phase["experts_requested"] as? Int
          == (phase["experts_hit"] as? Int ?? 0) + (phase["experts_read"] as? Int ?? 0))
    }
    #expect(try FileBytes.files(below: pack) == packFiles)
  }

  @Test("--no-warm reads nothing ahead but keeps what was hot; bench warms only when asked")
  func notWarmed() throws {
    _ = try report(generation)
    let file = directory.file("cache/" + (try #require(try hotSets.first)))
    let kept = try FileBytes.read(file)
    #expect(try report(generation + ["--no-warm"])["warm_bytes"] as? Int == 0)
    try FileManager.default.removeItem(atPath: file)
    #expect(try report(generation + ["--no-warm"])["warm_bytes"] as? Int == 0)
    #expect(try FileBytes.read(file) == kept)
    let bench = ["bench", pack, "--prefill", "8", "--decode", "4", "--json"]
    #expect(try report(bench)["warm_bytes"] as? Int == 0)
    #expect((try report(bench + ["--warm"])["warm_bytes"] as? Int ?? 0) > 0)
  }

  @Test("perplexity takes part, and its figure stays the same to the last digit")
  func perplexity() throws {
    let arguments = [
      "perplexity", pack, "-f", Fixtures.path("golden/tiny-qwen35moe-seedmix/ppl.txt"),
      "--context", "1024", "--memory", "90MiB", "--json",
    ]
    let first = try report(arguments)
    let second = try report(arguments)
    #expect((second["warm_bytes"] as? Int ?? 0) > 0)
    #expect(first["perplexity"] as? Double == second["perplexity"] as? Double)
  }

  @Test("a run that is interrupted keeps what was hot by then", arguments: [SIGINT, SIGTERM])
  func interrupted(_ signal: Int32) throws {
    let output = directory.file("text")
    _ = FileManager.default.createFile(atPath: output, contents: nil)
    let process = Binary.moerun.process(
      [
        "generate", pack, "-p", "The sea was calm", "-n", "4000", "--ignore-eos", "--memory",
        "84MiB",
      ], environment: environment)
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: output))
    process.standardError = FileHandle.nullDevice
    try process.run()
    while try FileBytes.size(output) == 0, process.isRunning { usleep(2000) }
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    #expect(process.terminationStatus == 128 + signal)
    #expect(try hotSets.count == 1)
    #expect((try report(generation)["warm_bytes"] as? Int ?? 0) > 0)
  }

  @Test("a hot set that is damaged is left out, told only to those who debug, and replaced")
  func damaged() throws {
    let first = try report(generation)
    let file = directory.file("cache/" + (try #require(try hotSets.first)))
    let kept = try FileBytes.read(file)
    for isDebugged in [false, true] {
      try FileBytes.flipBit(file, offset: 40, bit: 0)
      let outcome = try Binary.moerun.run(
        generation,
        environment: isDebugged
          ? environment.merging(["MOERUN_DEBUG": "1"]) { $1 } : environment)
      #expect(outcome.status == 0)
      #expect(outcome.errors.contains("hot set left out") == isDebugged, "\(outcome.errors)")
      let value = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
      let object = try #require(value as? [String: Any])
      #expect(object["text"] as? String == first["text"] as? String)
      #expect(object["warm_bytes"] as? Int == 0)
      #expect(try FileBytes.read(file) == kept)
    }
  }

  @Test("a cache directory that cannot be written costs nothing")
  func unwritable() throws {
    try Data("no directory".utf8).write(to: URL(filePath: directory.file("cache")))
    let outcome = try Binary.moerun.run(generation, environment: environment)
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
  }

  @Test("--stats-csv has the columns of the help, and their sums are the report's")
  func columns() throws {
    let csv = directory.file("stats.csv")
    let report = try report([
      "bench", pack, "--prefill", "20", "--decode", "6", "--io-threads", "3", "--memory", "90MiB",
      "--stats-csv", csv, "--json",
    ])
    let text = String(decoding: try FileBytes.read(csv), as: UTF8.self)
    let rows = text.split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    let header = try #require(rows.first)
    #expect(rows.count == 8 && rows.allSatisfy { $0.count == header.count })
    let help = try Binary.moerun.run(["bench", "--help"]).output
    for name in header { #expect(help.contains("        \(name): "), "\(name)") }
    func values(_ name: String) throws -> [Double] {
      let column = try #require(header.firstIndex(of: name))
      return try rows.dropFirst().map { try #require(Double($0[column])) }
    }
    let decode = try #require(report["decode"] as? [String: Any])
    for name in ["bytes_read", "reads", "rereads", "experts_requested", "experts_read"] {
      let sum = try values(name).dropFirst().reduce(0, +)
      #expect(sum == decode[name] as? Double, "\(name)")
    }
    let most = try values("maximum_reads_in_flight")
    #expect(most.dropFirst().max() == decode["maximum_reads_in_flight"] as? Double)
    #expect(try zip(values("mean_reads_in_flight"), most).allSatisfy { $0 <= $1 && $1 <= 3 })
    let times = try zip(values("disk_busy_seconds"), values("seconds"))
    #expect(times.allSatisfy { $0 > 0 && $0 <= $1 + 1e-6 })
  }

  @Test("--live is refused where standard error is no terminal")
  func liveRefused() throws {
    let outcome = try Binary.moerun.run(["generate", pack, "-p", "x", "--live"])
    #expect(outcome.status == 64 && outcome.output.isEmpty)
    #expect(outcome.errors.contains("--live draws on standard error"), "\(outcome.errors)")
  }

  /// util-linux's `script` runs a command on a terminal of its own; other systems' takes other
  /// arguments.
  private static let script = "/usr/bin/script"
  #if os(Linux)
    private static let hasTerminals = FileManager.default.isExecutableFile(atPath: script)
  #else
    private static let hasTerminals = false
  #endif

  /// What a terminal of 80 columns and 24 rows is sent while `command` runs in a shell on it.
  private func terminal(_ command: String, environment: [String: String] = [:]) throws -> String {
    let shell = Process()
    let file = directory.file("typescript")
    shell.executableURL = URL(filePath: Self.script)
    shell.arguments = ["-qefc", "stty rows 24 cols 80; \(command)", file]
    shell.environment = ProcessInfo.processInfo.environment
      .merging(self.environment) { $1 }
      .merging(["TERM": "xterm", "LC_ALL": "C.UTF-8", "NO_COLOR": ""]) { $1 }
      .merging(environment) { $1 }
    shell.currentDirectoryURL = URL(filePath: directory.path)
    shell.standardInput = FileHandle.nullDevice
    shell.standardOutput = FileHandle.nullDevice
    try shell.run()
    shell.waitUntilExit()
    return String(decoding: try FileBytes.read(file), as: UTF8.self)
  }

  private var longRun: String {
    "'\(Binary.moerun.path)' generate '\(pack)' -p 'The sea was calm' --ignore-eos --live"
  }

  @Test("--live draws below the text and gives the terminal back", .enabled(if: hasTerminals))
  func live() throws {
    let text = directory.file("text")
    let output = try terminal("\(longRun) -n 600 > '\(text)'")
    let drawn = output.components(separatedBy: "\u{1B}[1;19r")
    #expect(drawn.count == 2, "\(output)")
    for word in ["of 600 tokens", "cache ", "disk ", "stall ", "memory ", "█", "\u{1B}[36m"] {
      #expect(output.contains(word), "\(word)")
    }
    let rest = try #require(output.components(separatedBy: "\u{1B}[r").last)
    #expect(rest != output && !rest.contains("\u{1B}[?25l"))
    #expect(rest.contains("decode 599 tokens"))
    let plain = try Binary.moerun.run([
      "generate", pack, "-p", "The sea was calm", "--ignore-eos", "-n", "600",
    ])
    #expect(plain.output == String(decoding: try FileBytes.read(text), as: UTF8.self))
  }

  @Test("--live honours NO_COLOR", .enabled(if: hasTerminals))
  func noColour() throws {
    let output = try terminal(
      "\(longRun) -n 400 > /dev/null", environment: ["NO_COLOR": "1", "LC_ALL": "C"])
    #expect(output.contains("of 400 tokens") && output.contains("#"))
    #expect(!output.contains("\u{1B}[36m") && !output.contains("█"))
  }

  @Test("a signal that ends the run gives the terminal back", .enabled(if: hasTerminals))
  func liveInterrupted() throws {
    // Written without experts in memory, the text takes far longer than the first drawing.
    let output = try terminal(
      "\(longRun) -n 4000 --memory 84MiB --threads 1 > /dev/null & pid=$!; "
        + "while kill -0 $pid && ! grep -q '1;[1]9r' typescript; do sleep 0.02; done; "
        + "kill -TERM $pid; "
        + "wait $pid; echo status $?")
    #expect(output.contains("\u{1B}[1;19r"))
    let rest = try #require(output.components(separatedBy: "\u{1B}[r").last)
    #expect(rest != output && !rest.contains("\u{1B}[?25l"), "\(output.suffix(300))")
    #expect(rest.contains("status 143"), "\(rest)")
  }
}
