import Foundation
import TestSupport
import Testing

@Suite("Reading ahead on the command line")
struct PrefetchCommandTests {
  private var pack: String { get throws { try SharedPack.shared.get().pack } }
  private let trace = Fixtures.path("traces/gpt-oss.route.csv")

  private func object(_ arguments: [String]) throws -> [String: Any] {
    let outcome = try Binary.moerun.run(arguments)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let value = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    return try #require(value as? [String: Any])
  }

  @Test(
    "the text is the same whatever is read ahead, and the report says what it brought",
    arguments: ["off", "auto", "previous-token", "popularity", "next-layer-router"])
  func text(_ choice: String) throws {
    let arguments = [
      "generate", try pack, "-p", "It was in the year", "-n", "40", "--ignore-eos", "--memory",
      "80MiB", "--json",
    ]
    let plain = try object(arguments)
    #expect(plain["prefetch"] as? String == "off")
    let report = try object(arguments + ["--prefetch", choice])
    #expect(report["text"] as? String == plain["text"] as? String)
    #expect(report["prefetch"] as? String == choice)
    let decode = try #require(report["decode"] as? [String: Any])
    let bytes = try #require(decode["prefetch_bytes"] as? Int)
    let useful = try #require(decode["prefetch_useful_share"] as? Double)
    let wasted = try #require(decode["prefetch_wasted_bytes"] as? Int)
    let armed = try #require(decode["prefetch_armed_share"] as? Double)
    let idle = try #require(decode["disk_idle_share"] as? Double)
    #expect((0...1).contains(useful) && (0...1).contains(idle) && wasted >= 0)
    switch choice {
    case "off": #expect(bytes == 0 && armed == 0 && wasted == 0)
    case "auto": #expect(armed < 1)
    default: #expect(bytes > 0 && armed == 1)
    }
    let spoken = try Binary.moerun.run(
      Array(arguments.dropLast()) + ["--prefetch", choice])
    #expect(spoken.errors.contains("read ahead") == (choice != "off"))
  }

  @Test("--stats-csv tells of every token what was read ahead")
  func statistics() throws {
    let shared = try SharedPack.shared.get()
    let csv = shared.directory.file("ahead.csv")
    let report = try object([
      "bench", shared.pack, "--prefill", "8", "--decode", "12", "--memory", "80MiB",
      "--prefetch", "next-layer-router", "--stats-csv", csv, "--json",
    ])
    let rows = String(decoding: try FileBytes.read(csv), as: UTF8.self).split(separator: "\n")
      .map { $0.split(separator: ",").map(String.init) }
    let names = try #require(rows.first)
    func column(_ name: String) throws -> [Double] {
      let index = try #require(names.firstIndex(of: name))
      return rows.dropFirst().map { Double($0[index]) ?? -1 }
    }
    let decode = try #require(report["decode"] as? [String: Any])
    let bytes = try column("prefetch_bytes")
    #expect(bytes.count == 13)
    #expect(bytes[0] == 0)
    #expect(Int(bytes.reduce(0, +)) == decode["prefetch_bytes"] as? Int)
    #expect(try column("prefetch_armed_share") == [0] + [Double](repeating: 1, count: 12))
    for share in try column("disk_idle_share") + column("prefetch_useful_share") {
      #expect((0...1).contains(share))
    }
  }

  @Test("simulate shows what a predictor would bring beside the cache without it")
  func simulate() throws {
    let arguments = ["simulate", trace, "--slots", "64", "--policy", "lru"]
    let report = try object(arguments + ["--predictor", "previous-token", "--json"])
    let results = try #require(report["results"] as? [[String: Any]])
    #expect(results.map { $0["policy"] as? String } == ["lru", "lru", "optimum"])
    #expect(results.map { $0["predictor"] as? String } == [nil, "previous-token", nil])
    let decode = results.map { $0["decode"] as? [String: Any] ?? [:] }
    let hits = decode.map { $0["hits"] as? Int ?? -1 }
    #expect(decode[0]["requests"] as? Int == decode[1]["requests"] as? Int)
    #expect(hits[1] > hits[0])
    let ahead = try #require(results[1]["prefetched_experts"] as? Int)
    let share = try #require(results[1]["prefetch_useful_share"] as? Double)
    #expect(ahead > 0 && share > 0 && share < 1)
    // Without the guess nothing else hits: the hits it adds are those it was of use for.
    #expect(hits[1] - hits[0] <= Int((share * Double(ahead)).rounded()))
    let text = try Binary.moerun.run(arguments + ["--predictor", "popularity"])
    #expect(text.output.contains("lru + popularity") && text.output.contains("ahead/token"))
  }
}
