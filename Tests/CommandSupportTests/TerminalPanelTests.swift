import CommandSupport
import Testing

/// As much of a terminal as the panel uses: text that wraps and scrolls in a region, IND, CUU, CUP,
/// DECSTBM, DECSC, DECRC, ED and EL. Traps on anything else.
private struct Screen {
  var cells: [[Character]]
  var row = 0
  var column = 0
  var region: Range<Int>
  var isCursorVisible = true
  private var saved = (row: 0, column: 0)

  init(columns: Int, rows: Int) {
    cells = Array(repeating: Array(repeating: " ", count: columns), count: rows)
    region = 0..<rows
  }

  var lines: [String] {
    cells.map { line in
      var text = String(line)
      while text.last == " " { text.removeLast() }
      return text
    }
  }

  mutating func write(_ text: String) {
    var rest = Array(text)[...]
    while let character = rest.popFirst() {
      switch character {
      case "\u{1B}": escape(&rest)
      case "\n":
        column = 0
        index()
      default:
        if column == cells[0].count {
          column = 0
          index()
        }
        cells[row][column] = character
        column += 1
      }
    }
  }

  private mutating func index() {
    guard row == region.upperBound - 1 else {
      row = min(row + 1, cells.count - 1)
      return
    }
    cells.remove(at: region.lowerBound)
    cells.insert(Array(repeating: " ", count: cells[0].count), at: region.upperBound - 1)
  }

  private mutating func escape(_ rest: inout ArraySlice<Character>) {
    switch rest.popFirst() {
    case "D": index()
    case "7": saved = (row, column)
    case "8": (row, column) = saved
    case "[":
      let body = rest.prefix { !$0.isLetter }
      rest = rest.dropFirst(body.count)
      let numbers = body.split(separator: ";").map { Int(String($0)) ?? -1 }
      switch (rest.popFirst(), String(body)) {
      case ("A", _): row = max(row - numbers[0], region.lowerBound)
      case ("r", ""): (region, row, column) = (0..<cells.count, 0, 0)
      case ("r", _): (region, row, column) = (numbers[0] - 1..<numbers[1], 0, 0)
      case ("H", _): (row, column) = (numbers[0] - 1, numbers[1] - 1)
      case ("K", ""): for place in column..<cells[0].count { cells[row][place] = " " }
      case ("J", ""):
        for place in column..<cells[0].count { cells[row][place] = " " }
        for line in cells.indices where line > row {
          cells[line] = Array(repeating: " ", count: cells[0].count)
        }
      case ("l", "?25"): isCursorVisible = false
      case ("h", "?25"): isCursorVisible = true
      default: preconditionFailure("unknown sequence")
      }
    default: preconditionFailure("unknown sequence")
    }
  }
}

@Suite("Lines at the foot of a terminal")
struct TerminalPanelTests {
  private let text = (1...60).map { "word\($0)" + ($0 % 7 == 0 ? "\n" : " ") }

  @Test(
    "text flows above the panel as it would without it, and closing leaves only the text",
    arguments: 0..<10)
  func flow(linesBefore: Int) {
    let layout = TerminalPanel.Layout(columns: 20, rows: 10, height: 3)
    var screen = Screen(columns: 20, rows: 10)
    // A terminal of the rows that are left, which the text alone writes to.
    var alone = Screen(columns: 20, rows: 7)
    for line in 0..<linesBefore {
      screen.write("before\(line)\n")
      alone.write("before\(line)\n")
    }
    screen.write("start ")
    alone.write("start ")
    screen.write(layout.opening)
    for (index, word) in text.enumerated() {
      screen.write(layout.drawing(["one \(index)", "two \(index)", "three \(index)"]))
      screen.write(word)
      alone.write(word)
      #expect(screen.lines.suffix(3) == ["one \(index)", "two \(index)", "three \(index)"])
      #expect(Array(screen.lines.prefix(7)) == alone.lines)
      #expect(screen.row == alone.row && screen.column == alone.column)
    }
    screen.write(layout.closing)
    #expect(screen.lines == alone.lines + ["", "", ""])
    #expect(screen.row == alone.row && screen.column == alone.column)
    #expect(screen.region == 0..<10 && screen.isCursorVisible)
  }

  @Test("a shorter line leaves nothing of a longer one")
  func shorter() {
    let layout = TerminalPanel.Layout(columns: 20, rows: 5, height: 1)
    var screen = Screen(columns: 20, rows: 5)
    screen.write(layout.opening + layout.drawing(["a long line"]) + layout.drawing(["short"]))
    #expect(screen.lines.last == "short")
  }
}
