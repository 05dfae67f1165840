extension RoutingTrace {
  static let signature = "# route_trace v1"
  static let columns = "turn,phase,step,layer,slot,expert,weight,residency,expert_bytes"

  /// Reads a trace from the text of a CSV file; every number in it is checked.
  ///
  /// Two kinds of header lines (the model, then every layer), the names of the columns, and a row for
  /// every expert of a token in a layer. The rows of a token in a layer follow one another.
  /// - Parameters:
  ///   - bytes: The text; untrusted.
  ///   - path: What messages call it.
  /// - Throws: ``RoutingTraceError`` with the line.
  public init(csv bytes: [UInt8], path: String) throws(RoutingTraceError) {
    var parser = TraceParser(bytes: bytes, path: path)
    self = try parser.parse()
  }
}

/// One walk over the lines of a trace.
private struct TraceParser {
  let bytes: [UInt8]
  let path: String
  private var offset = 0
  private var line = 0

  init(bytes: [UInt8], path: String) {
    self.bytes = bytes
    self.path = path
  }

  mutating func parse() throws(RoutingTraceError) -> RoutingTrace {
    guard let first = nextLine(), text(first) == RoutingTrace.signature else {
      throw error("expected \(RoutingTrace.signature)")
    }
    var trace = try header()
    try rows(into: &trace)
    guard !trace.routes.isEmpty else {
      throw RoutingTraceError(path: path, line: 0, "expected rows, found none")
    }
    try refuseRepetition(trace)
    return trace
  }

  /// The lines up to the names of the columns.
  private mutating func header() throws(RoutingTraceError) -> RoutingTrace {
    guard let range = nextLine() else { throw error("expected # model=NAME, found the end") }
    let model = text(range)
    guard model.hasPrefix("# model="), let split = model.lastRange(of: " arch=") else {
      throw error("expected # model=NAME arch=NAME n_layer=N n_expert=N n_expert_used=N")
    }
    let fields = fields(model[split.lowerBound...])
    let layerCount = try number(fields, "n_layer", 1...RoutingTrace.Limit.layers)
    let expertCount = try number(
      fields, "n_expert", 1...RoutingTrace.Limit.experts / layerCount)
    let usedCount = try number(
      fields, "n_expert_used", 1...min(expertCount, RoutingTrace.Limit.used))
    let batch =
      fields["n_batch"] == nil ? nil : try number(fields, "n_batch", 1...RoutingTrace.Limit.steps)
    var layers: [RoutingTrace.Layer] = []
    while let range = nextLine() {
      let content = text(range)
      if content == RoutingTrace.columns {
        guard layers.count == layerCount else {
          throw error("expected \(layerCount) lines of layers before it, found \(layers.count)")
        }
        return RoutingTrace(
          model: String(model[..<split.lowerBound].dropFirst("# model=".count)),
          architecture: fields["arch"] ?? "", expertCount: expertCount, usedCount: usedCount,
          batch: batch, layers: layers)
      }
      guard content.hasPrefix("# layer=") else {
        throw error("expected # layer=\(layers.count), or \(RoutingTrace.columns)")
      }
      let values = self.fields(content.dropFirst(2))
      _ = try number(values, "layer", layers.count...layers.count)
      guard layers.count < layerCount else {
        throw error("expected \(layerCount) layers, found more")
      }
      layers.append(
        RoutingTrace.Layer(
          expertBytes: try number(values, "expert_bytes", 0...RoutingTrace.Limit.bytes),
          denseBytes: try number(values, "dense_bytes", 0...RoutingTrace.Limit.bytes)))
    }
    throw error("expected \(RoutingTrace.columns), found the end")
  }

  private mutating func rows(into trace: inout RoutingTrace) throws(RoutingTraceError) {
    let steps = 0...RoutingTrace.Limit.steps - 1
    var current: (turn: Int, phase: RoutingTrace.Phase, step: Int, layer: Int)?
    var choices: [RoutingTrace.Choice] = []
    func flush() {
      guard let current else { return }
      trace.append(
        turn: current.turn, phase: current.phase, step: current.step, layer: current.layer,
        choices: choices)
      choices.removeAll(keepingCapacity: true)
    }
    while let range = nextLine() {
      if range.isEmpty, offset >= bytes.count { break }
      var cursor = range.lowerBound
      let turn = try integer(&cursor, range, "turn", steps)
      let phase =
        try integer(&cursor, range, "phase", 0...1) == 0
        ? RoutingTrace.Phase.prefill : .decode
      let step = try integer(&cursor, range, "step", steps)
      let layer = try integer(&cursor, range, "layer", 0...trace.layers.count - 1)
      let slot = try integer(&cursor, range, "slot", 0...trace.usedCount - 1)
      let expert = try integer(&cursor, range, "expert", 0...trace.expertCount - 1)
      let weight = try float(&cursor, range)
      let residency = try integer(&cursor, range, "residency", 0...1)
      let read = try integer(
        &cursor, range, "expert_bytes", 0...RoutingTrace.Limit.bytes, isLast: true)
      if slot == 0 {
        flush()
        current = (turn, phase, step, layer)
      }
      guard let current, current == (turn, phase, step, layer), slot == choices.count else {
        throw error("expected slot \(slot == 0 ? 0 : choices.count) of one token, found \(slot)")
      }
      guard !choices.contains(where: { $0.expert == expert }) else {
        throw error("expert \(expert) twice in layer \(layer) of step \(step)")
      }
      guard trace.layers[layer].expertBytes > 0 else {
        throw error("expected no row of layer \(layer), whose experts have 0 bytes")
      }
      choices.append(
        RoutingTrace.Choice(
          expert: expert, weight: weight, isResident: residency == 1, bytesRead: read))
    }
    flush()
  }

  /// Throws when a token passes a layer twice.
  private func refuseRepetition(_ trace: RoutingTrace) throws(RoutingTraceError) {
    func key(_ route: RoutingTrace.Route) -> (Int, Int, Int, Int) {
      (route.turn, route.phase.rawValue, route.step, route.layer)
    }
    let sorted = trace.routes.sorted { key($0) < key($1) }
    for (route, next) in zip(sorted, sorted.dropFirst()) where key(route) == key(next) {
      throw RoutingTraceError(
        path: path, line: 0,
        "turn \(route.turn), step \(route.step), layer \(route.layer): expected once, found twice")
    }
  }

  // MARK: - Lines and fields

  private mutating func nextLine() -> Range<Int>? {
    guard offset < bytes.count else { return nil }
    line += 1
    let start = offset
    var end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
    offset = end + 1
    if end > start, bytes[end - 1] == 0x0D { end -= 1 }
    return start..<end
  }

  private func text(_ range: Range<Int>) -> String {
    String(decoding: bytes[range].prefix(4096), as: UTF8.self)
  }

  private func error(_ message: String) -> RoutingTraceError {
    RoutingTraceError(path: path, line: max(line, 1), message)
  }

  /// `a=1 b=2` as a table.
  private func fields(_ text: Substring) -> [String: String] {
    var table: [String: String] = [:]
    for word in text.split(separator: " ") {
      let parts = word.split(separator: "=", maxSplits: 1)
      if parts.count == 2 { table[String(parts[0])] = String(parts[1]) }
    }
    return table
  }

  private func number(
    _ fields: [String: String], _ name: String, _ range: ClosedRange<Int>
  ) throws(RoutingTraceError) -> Int {
    guard let text = fields[name] else { throw error("expected \(name)=NUMBER, found none") }
    guard let value = Int(text), range.contains(value) else {
      throw error("\(name): expected \(Self.text(range)), found \(text)")
    }
    return value
  }

  private static func text(_ range: ClosedRange<Int>) -> String {
    range.lowerBound == range.upperBound
      ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
  }

  /// The bytes of the field at `cursor`, which moves behind the comma.
  private func field(
    _ cursor: inout Int, _ range: Range<Int>, _ name: String, isLast: Bool
  ) throws(RoutingTraceError) -> ArraySlice<UInt8> {
    guard cursor <= range.upperBound else { throw error("expected \(name), found the end of line") }
    let rest = bytes[cursor..<range.upperBound]
    let comma = rest.firstIndex(of: UInt8(ascii: ","))
    guard (comma == nil) == isLast else {
      throw error(
        isLast ? "expected the end of line after \(name)" : "expected a comma after \(name)")
    }
    let end = comma ?? range.upperBound
    cursor = end + 1
    return bytes[rest.startIndex..<end]
  }

  private func integer(
    _ cursor: inout Int, _ range: Range<Int>, _ name: String, _ allowed: ClosedRange<Int>,
    isLast: Bool = false
  ) throws(RoutingTraceError) -> Int {
    let digits = try field(&cursor, range, name, isLast: isLast)
    var value = 0
    var isNumber = !digits.isEmpty && digits.count <= 15
    if isNumber {
      for byte in digits {
        isNumber = isNumber && byte >= 0x30 && byte <= 0x39
        value = value * 10 + Int(byte) - 0x30
      }
    }
    guard isNumber, allowed.contains(value) else {
      let found = String(decoding: digits.prefix(32), as: UTF8.self)
      throw error("\(name): expected \(Self.text(allowed)), found \(found)")
    }
    return value
  }

  private func float(
    _ cursor: inout Int, _ range: Range<Int>
  ) throws(RoutingTraceError) -> Float {
    let digits = try field(&cursor, range, "weight", isLast: false)
    let text = String(decoding: digits.prefix(64), as: UTF8.self)
    guard let value = Float(text), value.isFinite else {
      throw error("weight: expected a number, found \(text)")
    }
    return value
  }
}

extension StringProtocol {
  /// The last place of `needle`.
  fileprivate func lastRange(of needle: String) -> Range<Index>? {
    var end = endIndex
    while let start = self[..<end].lastIndex(where: { $0 == needle.first }) {
      if self[start...].hasPrefix(needle) {
        return start..<index(start, offsetBy: needle.count)
      }
      end = start
    }
    return nil
  }
}
