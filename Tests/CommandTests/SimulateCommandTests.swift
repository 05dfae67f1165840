import Foundation
import TestSupport
import Testing
#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite("moerun trace and simulate on the command line")
struct SimulateCommandTests {
  private var pack: String { get throws { try SharedPack.shared.get().pack } }
  private let trace = Fixtures.path("traces/gpt-oss.route.csv")

  private func object(_ arguments: [String]) throws -> [String: Any] {
    let outcome = try Binary.moerun.run(arguments)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let value = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    return try #require(value as? [String: Any])
  }

  @Test(
    "a recorded run, replayed with the same slots and policy, hits what the run hit",
    arguments: ["lru", "crf", "auto"])
  func replay(_ policy: String) throws {
    let directory = try TemporaryDirectory()
    let text = "There was once a poor woman, and she had three sons who went out into the world."
    let options = ["--memory", "80MiB", "--cache-policy", policy, "--batch", "5"]
    let run = try object(
      ["generate", try pack, "-p", text, "-n", "40", "--json", "--ignore-eos", "--no-warm"]
        + options)
    let memory = try #require(run["memory"] as? [String: Any])
    #expect(memory["cache_policy"] as? String == policy)
    let slots = try #require(memory["expert_slots"] as? Int)
    let file = directory.file("run.csv")
    let traced = try Binary.moerun.run(
      ["trace", try pack, "-p", text, "-n", "40", "-o", file, "--ignore-eos"] + options)
    #expect(traced.status == 0 && traced.output.isEmpty, "\(traced.errors)")
    let report = try object(
      ["simulate", file, "--slots", "\(slots)", "--policy", policy, "--json"])
    let results = try #require(report["results"] as? [[String: Any]])
    #expect(results.map { $0["policy"] as? String } == [policy, "optimum"])
    for phase in ["prefill", "decode"] {
      let cost = try #require(run[phase] as? [String: Any])
      let replayed = try #require(results[0][phase] as? [String: Any])
      #expect(replayed["requests"] as? Int == cost["experts_requested"] as? Int)
      #expect(replayed["misses"] as? Int == cost["experts_read"] as? Int)
      #expect(replayed["bytes_read"] as? Int == cost["bytes_read"] as? Int)
      #expect(replayed["tokens"] as? Int == cost["tokens"] as? Int)
    }
    // What the rows say was read is what the run read.
    let rows = String(decoding: try FileBytes.read(file), as: UTF8.self).split(separator: "\n")
    let bytes = rows.filter { !$0.hasPrefix("#") }.dropFirst().reduce(0) {
      $0 + (Int($1.split(separator: ",").last ?? "") ?? 0)
    }
    let costs = ["prefill", "decode"].map {
      ((run[$0] as? [String: Any])?["bytes_read"] as? Int) ?? 0
    }
    #expect(bytes == costs.reduce(0, +))
  }

  @Test("simulate prints a row a budget and policy, and draws a chart that is XML")
  func table() throws {
    let directory = try TemporaryDirectory()
    let svg = directory.file("chart.svg")
    let outcome = try Binary.moerun.run([
      "simulate", trace, "--budget", "1GiB", "2GiB", "--policy", "lru,crf", "--svg", svg,
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count { $0.contains("  lru  ") } == 2)
    #expect(lines.count { $0.contains("  crf  ") } == 2)
    #expect(outcome.output.contains("previous-token"))
    let parser = XMLParser(data: try FileBytes.read(svg))
    let counter = ElementCounter()
    parser.delegate = counter
    #expect(parser.parse(), "\(parser.parserError.map { "\($0)" } ?? "")")
    #expect(counter.counts["polyline"] == 3)
    #expect(counter.counts["circle"] == 6)
  }

  private final class ElementCounter: NSObject, XMLParserDelegate {
    var counts: [String: Int] = [:]

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
      qualifiedName: String?, attributes: [String: String]
    ) { counts[name, default: 0] += 1 }
  }

  @Test("--experts-used changes the text, and every report says so")
  func expertsUsed() throws {
    let arguments = ["generate", try pack, "-p", "There was once a poor woman, and", "-n", "80"]
    let two = try object(arguments + ["--experts-used", "2", "--json"])
    #expect(two["experts_used"] as? Int == 2 && two["model_experts_used"] as? Int == 4)
    let four = try object(arguments + ["--experts-used", "4", "--json"])
    #expect(four["text"] as? String != two["text"] as? String)
    #expect(four["text"] as? String == (try object(arguments + ["--json"])["text"] as? String))
    let note = "2 experts used a token, the model's own number is 4"
    #expect(
      try Binary.moerun.run(arguments + ["--experts-used", "2"]).errors.contains(note))
    #expect(!(try Binary.moerun.run(arguments).errors.contains("model's own")))
    let info = try object(["info", try pack, "--experts-used", "3", "--json"])
    #expect(info["experts_used"] as? Int == 3 && info["model_experts_used"] as? Int == 4)
    let tooMany = try Binary.moerun.run(arguments + ["--experts-used", "25"])
    #expect(tooMany.status == 2 && tooMany.errors.contains("expected 1 to 24, found 25"))
  }

  @Test("what cannot be done says so with the right exit status")
  func failures() throws {
    let directory = try TemporaryDirectory()
    try Data("# route_trace v1\nx\n".utf8).write(to: URL(filePath: directory.file("bad.csv")))
    let cases: [(arguments: [String], status: Int32, message: String)] = [
      (["simulate", directory.file("bad.csv")], 2, "bad.csv: line 2: expected # model=NAME"),
      (["simulate", "/nonexistent"], 2, "no such file"),
      (["simulate", trace, "--budget", "1GiB", "--slots", "3"], 64, "--budget or --slots"),
      (["simulate", trace, "--slots", "0"], 64, "--slots takes 1"),
      (["simulate", trace, "--batch", "0"], 64, "--batch takes 1"),
      (["simulate", trace, "--policy", "fifo"], 64, "fifo"),
      (["simulate", trace, "--budget", "1MiB"], 64, "an expert takes 12.6 MiB"),
      (["simulate", trace, "--svg", "/nonexistent/x.svg"], 2, "/nonexistent"),
      (
        ["simulate", trace, "--predictor", "next-layer-router"], 64,
        "the next layer's router needs the states that it is applied to, and a trace has none"
      ),
      (["simulate", trace, "--predictor", "oracle"], 64, "oracle"),
      (["generate", try pack, "-p", "x", "--prefetch", "oracle"], 64, "prefetch"),
      (["trace", try pack, "-o", "x.csv"], 64, "-f FILE or -p TEXT"),
      (["trace", try pack, "-p", "x", "-o", "/nonexistent/x.csv", "-n", "1"], 2, "/nonexistent"),
      (["generate", try pack, "-p", "x", "--cache-policy", "fifo"], 64, "cache-policy"),
      (["generate", try pack, "-p", "x", "--experts-used", "0"], 64, "--experts-used takes 1"),
    ]
    for item in cases {
      let outcome = try Binary.moerun.run(item.arguments)
      #expect(outcome.status == item.status, "\(item.arguments): \(outcome.errors)")
      #expect(outcome.errors.contains(item.message), "\(item.arguments): \(outcome.errors)")
      #expect(outcome.output.isEmpty)
    }
  }
}
