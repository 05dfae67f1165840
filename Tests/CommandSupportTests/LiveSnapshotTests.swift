import CommandSupport
import Testing

@Suite("The live view")
struct LiveSnapshotTests {
  private static let plain = LiveStyle(isColoured: false, isUnicode: false)

  private static func snapshot() -> LiveSnapshot {
    var snapshot = LiveSnapshot()
    snapshot.promptTokens = 512
    snapshot.generatedTokens = 37
    snapshot.maximumTokens = 128
    snapshot.seconds = 4.4
    snapshot.tokensPerSecond = 12.34
    snapshot.slotsUsed = 96
    snapshot.slotCount = 192
    snapshot.hitRate = 0.8412
    snapshot.expertsRequested = 912
    snapshot.expertsRead = 180
    snapshot.diskBytesPerSecond = 1.5e9
    snapshot.diskPeakBytesPerSecond = 2e9
    snapshot.readsInFlight = 3.42
    snapshot.stallShare = 0.1
    snapshot.residentBytes = 2 << 30
    snapshot.budgetBytes = 8 << 30
    return snapshot
  }

  @Test("five lines say speed, cache, disk, waiting and memory, with bars in proportion")
  func whole() {
    let lines = Self.snapshot().lines(columns: 72, rows: 24, style: Self.plain)
    #expect(
      lines == [
        "-- 37 of 128 tokens, 12.3 tok/s, 180 of 912 experts read --------------",
        "cache   ###############............... 96 of 192 slots, 84.1 % hits",
        "disk    #######################....... 1.50 of 2.00 GB/s, 3.4 in flight",
        "stall   ###........................... 10 % of the time",
        "memory  ########...................... 2.00 GiB of 8.00 GiB",
      ])
  }

  @Test("while the prompt is evaluated, time stands in place of speed")
  func prompt() {
    var snapshot = Self.snapshot()
    snapshot.generatedTokens = nil
    snapshot.hitRate = nil
    snapshot.warmExperts = 7
    let lines = snapshot.lines(columns: 80, rows: 24, style: Self.plain)
    #expect(
      lines.first?.hasPrefix("-- prompt of 512 tokens, 4 s, 180 of 912 experts read, 7 warmed --")
        == true)
    #expect(lines[1].hasSuffix("96 of 192 slots"))
  }

  @Test("no terminal is too narrow or too low: no line reaches its last column, text keeps rows")
  func sizes() {
    for isUnicode in [false, true] {
      let style = LiveStyle(isColoured: false, isUnicode: isUnicode)
      for columns in 1...200 {
        for rows in 1...12 {
          let lines = Self.snapshot().lines(columns: columns, rows: rows, style: style)
          #expect(lines.allSatisfy { $0.count < columns })
          #expect(lines.isEmpty || lines.count + 3 <= rows)
          if columns >= 40 && rows >= 8 { #expect(lines.count == 5) }
        }
      }
    }
    #expect(Self.snapshot().lines(columns: 80, rows: 5, style: Self.plain).count == 1)
    #expect(Self.snapshot().lines(columns: 80, rows: 3, style: Self.plain).isEmpty)
  }

  @Test("a narrow terminal gets figures without bars")
  func narrow() {
    let lines = Self.snapshot().lines(columns: 40, rows: 24, style: Self.plain)
    #expect(lines[1] == "cache   96 of 192 slots, 84.1 % hits")
    #expect(!lines.joined().contains("#"))
  }

  @Test("colours add escape sequences and nothing else; ASCII style has no other characters")
  func styles() {
    let snapshot = Self.snapshot()
    let coloured = snapshot.lines(
      columns: 72, rows: 24, style: LiveStyle(isColoured: true, isUnicode: false))
    let plain = snapshot.lines(columns: 72, rows: 24, style: Self.plain)
    #expect(coloured != plain)
    for (one, other) in zip(coloured, plain) {
      var text = ""
      var isEscape = false
      for character in one {
        if character == "\u{1B}" { isEscape = true }
        if !isEscape { text.append(character) }
        if isEscape && character == "m" { isEscape = false }
      }
      #expect(text == other)
    }
    #expect(plain.joined().allSatisfy { $0.isASCII && $0 != "\u{1B}" })
  }

  @Test("shares outside of 0 to 1, and totals of nothing, draw whole bars or none")
  func extremes() {
    var snapshot = LiveSnapshot()
    snapshot.stallShare = 7
    snapshot.residentBytes = 3 << 30
    snapshot.budgetBytes = 1 << 30
    let lines = snapshot.lines(columns: 72, rows: 24, style: Self.plain)
    #expect(!lines[1].contains("#") && !lines[2].contains("#"))
    #expect(!lines[3].contains(".") && !lines[4].prefix(30).contains("."))
  }
}
