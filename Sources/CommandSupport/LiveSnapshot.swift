#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif

/// How a ``LiveSnapshot`` is written.
public struct LiveStyle: Sendable {
  /// Whether bars have colours.
  public var isColoured: Bool
  /// Whether bars and rules are made of block characters, or of ASCII.
  public var isUnicode: Bool

  /// A style of this kind.
  public init(isColoured: Bool, isUnicode: Bool) {
    self.isColoured = isColoured
    self.isUnicode = isUnicode
  }

  /// What the environment asks for: no colours with `NO_COLOR` (https://no-color.org), block
  /// characters in a UTF-8 locale.
  public static var environment: LiveStyle {
    let variables = ProcessInfo.processInfo.environment
    func value(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }
    let locale = value("LC_ALL") ?? value("LC_CTYPE") ?? value("LANG") ?? ""
    let name = locale.lowercased().filter { $0 != "-" }
    return LiveStyle(isColoured: value("NO_COLOR") == nil, isUnicode: name.contains("utf8"))
  }
}

/// What a run does at a moment, as lines for the foot of a terminal.
public struct LiveSnapshot: Sendable {
  /// Tokens of the prompt.
  public var promptTokens = 0
  /// Tokens generated so far, nil while the prompt is evaluated.
  public var generatedTokens: Int?
  /// Most tokens to generate.
  public var maximumTokens = 0
  /// Seconds since the run began.
  public var seconds = 0.0
  /// Tokens a second of late.
  public var tokensPerSecond = 0.0
  /// Slots that hold an expert.
  public var slotsUsed = 0
  /// Slots there are.
  public var slotCount = 0
  /// Share of the experts asked for of late that were in memory; nil when none was asked for.
  public var hitRate: Double?
  /// Experts asked for in all.
  public var expertsRequested = 0
  /// Experts read in all, without those that warm the cache.
  public var expertsRead = 0
  /// Experts read to warm the cache.
  public var warmExperts = 0
  /// Bytes a second that came from the disk of late.
  public var diskBytesPerSecond = 0.0
  /// Bytes a second that the disk can deliver.
  public var diskPeakBytesPerSecond = 0.0
  /// Reads in flight of late.
  public var readsInFlight = 0.0
  /// Share of the time in which compute waited for the disk of late.
  public var stallShare = 0.0
  /// Memory that the process has.
  public var residentBytes: UInt64 = 0
  /// Memory that it may have.
  public var budgetBytes: UInt64 = 0

  /// Of a run that has done nothing.
  public init() {}

  private static let labelWidth = 8
  private static let largestBar = 40
  private static let smallestBar = 5
  /// Rows of a terminal that the lines leave to the text above them, at least.
  private static let textRows = 3

  /// The lines for a terminal of `columns` and `rows`: five, one where there is no room for them,
  /// none where there is not even that for it. None is as wide as the terminal, none has a line feed.
  public func lines(columns: Int, rows: Int, style: LiveStyle) -> [String] {
    let width = columns - 1
    guard rows > Self.textRows, width >= 10 else { return [] }
    let header = rule(width: width, style: style)
    let meters = self.meters
    guard rows >= meters.count + 1 + Self.textRows else { return [header] }
    let notes = meters.map(\.note.count).max() ?? 0
    let room = width - Self.labelWidth - 1 - notes
    let bar = room < Self.smallestBar ? 0 : min(room, Self.largestBar)
    return [header]
      + meters.map { meter in
        let label = meter.label + spaces(Self.labelWidth - meter.label.count)
        guard bar > 0 else { return String((label + meter.note).prefix(width)) }
        return label + self.bar(meter, width: bar, style: style) + " " + meter.note
      }
  }

  private struct Meter {
    let label: String
    let share: Double
    let note: String
    /// Number of the foreground colour (ECMA-48, SGR).
    let colour: Int
  }

  private var meters: [Meter] {
    func share(_ part: Double, _ whole: Double) -> Double {
      whole > 0 ? min(1, max(0, part / whole)) : 0
    }
    let hits = hitRate.map { ", \(decimal($0 * 100, 1)) % hits" } ?? ""
    let rate = decimal(diskBytesPerSecond / 1e9, 2)
    let peak = decimal(diskPeakBytesPerSecond / 1e9, 2)
    return [
      Meter(
        label: "cache", share: share(Double(slotsUsed), Double(slotCount)),
        note: "\(slotsUsed) of \(slotCount) slots\(hits)", colour: 32),
      Meter(
        label: "disk", share: share(diskBytesPerSecond, diskPeakBytesPerSecond),
        note: "\(rate) of \(peak) GB/s, \(decimal(readsInFlight, 1)) in flight", colour: 36),
      Meter(
        label: "stall", share: share(stallShare, 1),
        note: "\(decimal(stallShare * 100, 0)) % of the time", colour: 33),
      Meter(
        label: "memory", share: share(Double(residentBytes), Double(budgetBytes)),
        note: "\(ByteSize.text(residentBytes)) of \(ByteSize.text(budgetBytes))", colour: 35),
    ]
  }

  /// `-- 37 of 128 tokens, 12.3 tok/s, 180 of 912 experts read -----`
  private func rule(width: Int, style: LiveStyle) -> String {
    let dash = style.isUnicode ? "─" : "-"
    let progress: String
    if let generatedTokens {
      progress =
        "\(generatedTokens) of \(maximumTokens) tokens, \(decimal(tokensPerSecond, 1)) tok/s"
    } else {
      progress = "prompt of \(promptTokens) tokens, \(decimal(seconds, 0)) s"
    }
    let warmed = warmExperts > 0 ? ", \(warmExperts) warmed" : ""
    let text =
      "\(dash)\(dash) \(progress), \(expertsRead) of \(expertsRequested) experts read\(warmed) "
    let line = String(text.prefix(width))
    return line + String(repeating: dash, count: width - line.count)
  }

  private func bar(_ meter: Meter, width: Int, style: LiveStyle) -> String {
    let filled = Int((meter.share * Double(width)).rounded())
    let (full, empty) = style.isUnicode ? ("█", "░") : ("#", ".")
    let (front, back) = (
      String(repeating: full, count: filled), String(repeating: empty, count: width - filled)
    )
    guard style.isColoured else { return front + back }
    return "\u{1B}[\(meter.colour)m\(front)\u{1B}[90m\(back)\u{1B}[0m"
  }

  private func spaces(_ count: Int) -> String { String(repeating: " ", count: max(count, 0)) }
}
