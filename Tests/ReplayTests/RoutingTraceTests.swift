import ExpertStore
import FileIO
import Replay
import TestSupport
import Testing

@Suite("Routing traces")
struct RoutingTraceTests {
  static let header = [
    "# route_trace v1", "# model=a model, b arch=x n_layer=2 n_expert=4 n_expert_used=2",
    "# layer=0 expert_bytes=100 dense_bytes=7", "# layer=1 expert_bytes=200 dense_bytes=8",
    "turn,phase,step,layer,slot,expert,weight,residency,expert_bytes",
  ]
  static let rows = ["0,0,0,0,0,3,0.75,0,100", "0,0,0,0,1,1,0.25,1,0", "0,1,1,1,0,2,1,0,200"]

  static func parse(_ lines: [String]) throws -> RoutingTrace {
    try RoutingTrace(csv: Array((lines.joined(separator: "\n") + "\n").utf8), path: "t.csv")
  }

  @Test("a trace is read as it was written, and written as it was read")
  func roundTrip() throws {
    let bytes = try File.contents(Fixtures.path("traces/gpt-oss.route.csv"), atMost: 1 << 20)
    let trace = try RoutingTrace(csv: bytes, path: "trace")
    #expect(trace.csv == bytes)
    #expect(trace.model == "gpt-oss-120b-Q4_K_M.gguf" && trace.architecture == "gpt-oss")
    #expect(trace.layers.count == 36 && trace.expertCount == 128 && trace.usedCount == 2)
    #expect(trace.tokenCount(.decode) == 6 && trace.batch == nil)
    #expect(trace.largestExpertBytes == 13_219_200)
    var written = RoutingTrace(
      model: "line\nfeed", architecture: "a b", expertCount: 3, usedCount: 2, batch: 5,
      layers: [.init(expertBytes: 9, denseBytes: 1)])
    written.append(
      turn: 1, phase: .decode, step: 4, layer: 0,
      choices: [
        .init(expert: 2, weight: 0.1, isResident: true, bytesRead: 0),
        .init(expert: 0, weight: 1e-9, isResident: false, bytesRead: 9),
      ])
    #expect(try RoutingTrace(csv: written.csv, path: "t") == written)
  }

  @Test("lines may end in CR LF, and the last one without an end")
  func lineEnds() throws {
    let text = (Self.header + Self.rows).joined(separator: "\r\n")
    let trace = try RoutingTrace(csv: Array(text.utf8), path: "t")
    #expect(try trace == Self.parse(Self.header + Self.rows))
    #expect(trace.routes.count == 2 && trace.model == "a model, b")
  }

  /// A line to put in place of another, and what the error must say.
  struct Defect: Sendable, CustomTestStringConvertible {
    let line: Int
    let text: String
    let message: String
    var testDescription: String { "\(line): \(text)" }
  }

  static let defects: [Defect] = [
    .init(line: 1, text: "# route_trace v2", message: "expected # route_trace v1"),
    .init(line: 2, text: "# model=a", message: "expected # model=NAME arch="),
    .init(line: 2, text: "# model=a arch=x n_layer=2 n_expert=4", message: "n_expert_used=NUMBER"),
    .init(
      line: 2, text: "# model=a arch=x n_layer=99999999999 n_expert=4 n_expert_used=2",
      message: "n_layer: expected 1 to 1024"),
    .init(
      line: 2, text: "# model=a arch=x n_layer=1024 n_expert=999999999 n_expert_used=2",
      message: "n_expert: expected 1 to 1024"),
    .init(
      line: 2, text: "# model=a arch=x n_layer=2 n_expert=4 n_expert_used=5",
      message: "n_expert_used: expected 1 to 4, found 5"),
    .init(
      line: 2, text: "# model=a arch=x n_layer=2 n_expert=4 n_expert_used=2 n_batch=0",
      message: "n_batch"),
    .init(line: 3, text: "# layer=1 expert_bytes=1 dense_bytes=1", message: "layer: expected 0"),
    .init(line: 3, text: "# layer=0 expert_bytes=-1 dense_bytes=1", message: "expert_bytes"),
    .init(
      line: 3, text: "# layer=0 expert_bytes=9223372036854775808 dense_bytes=1",
      message: "expert_bytes"),
    .init(line: 4, text: "turn", message: "expected # layer=1"),
    .init(line: 4, text: header[4], message: "expected 2 lines of layers"),
    .init(line: 5, text: "# layer=2 expert_bytes=1 dense_bytes=1", message: "found more"),
    .init(line: 6, text: "0,0,0,0,0,3,0.75,0", message: "expected a comma after residency"),
    .init(line: 6, text: "0,0,0,0,0,3,0.75,0,100,1", message: "expected the end of line"),
    .init(line: 6, text: "", message: "expected a comma after turn"),
    .init(line: 6, text: "0,2,0,0,0,3,0.75,0,100", message: "phase: expected 0 to 1, found 2"),
    .init(line: 6, text: "0,0,0,2,0,3,0.75,0,100", message: "layer: expected 0 to 1, found 2"),
    .init(line: 6, text: "0,0,0,0,0,4,0.75,0,100", message: "expert: expected 0 to 3, found 4"),
    .init(line: 6, text: "0,0,0,0,0,-1,0.75,0,100", message: "expert: expected 0 to 3, found -1"),
    .init(line: 6, text: "0,0,+1,0,0,1,0.75,0,100", message: "step"),
    .init(line: 6, text: "0,0,99999999999999999999,0,0,1,0.5,0,0", message: "step"),
    .init(line: 6, text: "0,0,0,0,1,3,0.75,0,100", message: "slot"),
    .init(line: 6, text: "0,0,0,0,0,3,nan,0,100", message: "weight"),
    .init(line: 6, text: "0,0,0,0,0,3,0.5,2,100", message: "residency"),
    .init(line: 7, text: "0,0,0,0,1,3,0.25,1,0", message: "expert 3 twice in layer 0 of step 0"),
    .init(line: 7, text: "0,0,1,0,1,1,0.25,1,0", message: "slot"),
    .init(line: 8, text: "0,0,0,0,0,2,1,0,0", message: "found twice"),
  ]

  @Test("a defect is refused with its line", arguments: defects)
  func defect(_ defect: Defect) throws {
    var lines = Self.header + Self.rows
    lines[defect.line - 1] = defect.text
    let error = #expect(throws: RoutingTraceError.self) { try Self.parse(lines) }
    let place = defect.message == "found twice" ? "t.csv: turn 0" : "t.csv: line \(defect.line): "
    #expect(error?.message.hasPrefix(place) == true, "\(error?.message ?? "none")")
    #expect(error?.message.contains(defect.message) == true, "\(error?.message ?? "none")")
  }

  @Test("a text cut anywhere, or with any byte changed, is read or refused")
  func mutations() throws {
    let bytes = Array((Self.header + Self.rows).joined(separator: "\n").utf8)
    for end in 0..<bytes.count { _ = try? RoutingTrace(csv: Array(bytes[..<end]), path: "t") }
    var random = RandomBytes(seed: 11)
    for _ in 0..<2000 {
      var changed = bytes
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        changed[Int.random(in: 0..<bytes.count, using: &random)] =
          UInt8.random(in: 0...255, using: &random)
      }
      guard let trace = try? RoutingTrace(csv: changed, path: "t") else { continue }
      let requests = ExpertRequests(trace)
      let outcome = CacheSimulation.run(requests, policy: .auto, slotCount: 3)
      #expect(outcome.total.requests <= 3)
    }
  }
}
