internal import CPlatform
internal import Synchronization
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif

/// Lines at the foot of the terminal behind standard error, below whatever is written meanwhile.
///
/// The rows above the panel are made the terminal's scrolling region (DECSTBM), so that text on
/// standard output flows in them as ever, wrapping included, without anybody knowing its column. A
/// drawing is one `write`, which terminals do not mix with others, and leaves the cursor where it
/// was. ``close()`` gives the whole terminal back; a signal that ends the process does so too.
public final class TerminalPanel: Sendable {
  /// Rows that the terminal has, and those at its foot that are the panel's.
  package struct Layout: Equatable, Sendable {
    let columns: Int
    let rows: Int
    let height: Int

    /// The last `height` of `rows` rows, fewer than there are.
    package init(columns: Int, rows: Int, height: Int) {
      self.columns = columns
      self.rows = rows
      self.height = height
    }

    private static let escape = "\u{1B}"

    /// Moves the text up if it would be covered, and confines scrolling to the rows above the panel.
    package var opening: String {
      let escape = Self.escape
      // IND keeps the column, where a line feed would go back to the first one.
      let room = String(repeating: escape + "D", count: height) + "\(escape)[\(height)A"
      return room + "\(escape)7\(escape)[1;\(rows - height)r\(escape)8"
    }

    /// Writes `lines` into the panel.
    package func drawing(_ lines: [String]) -> String {
      let escape = Self.escape
      var text = "\(escape)7\(escape)[?25l"
      for (index, line) in lines.prefix(height).enumerated() {
        text += "\(escape)[\(rows - height + 1 + index);1H\(line)\(escape)[K"
      }
      return text + "\(escape)8\(escape)[?25h"
    }

    /// Clears the panel and lets the whole terminal scroll.
    package var closing: String {
      let escape = Self.escape
      return "\(escape)7\(escape)[r\(escape)[\(rows - height + 1);1H\(escape)[J\(escape)8"
        + "\(escape)[?25h"
    }
  }

  private let layout = Mutex<Layout?>(nil)

  /// A panel that shows nothing yet.
  public init() {}

  /// Whether standard error is a terminal that can move its cursor and says how large it is.
  public static var isSupported: Bool {
    let kind = ProcessInfo.processInfo.environment["TERM"] ?? ""
    return Console.isErrorTerminal && !kind.isEmpty && kind != "dumb" && size != nil
  }

  private static var size: (columns: Int, rows: Int)? {
    var (columns, rows): (Int32, Int32) = (0, 0)
    return cp_terminal_size(2, &columns, &rows) ? (Int(columns), Int(rows)) : nil
  }

  /// Shows what `render` makes of the terminal's present columns and rows: as many lines as it has,
  /// none to show nothing. They replace the ones drawn before.
  public func draw(_ render: (_ columns: Int, _ rows: Int) -> [String]) {
    guard let size = Self.size else { return }
    let lines = render(size.columns, size.rows)
    let wanted =
      lines.isEmpty || lines.count >= size.rows
      ? nil : Layout(columns: size.columns, rows: size.rows, height: lines.count)
    layout.withLock { layout in
      var text = ""
      if layout != wanted {
        // Terminals that change their size keep the foot of the screen, so the old lines are there.
        let height = min(layout?.height ?? 0, size.rows - 1)
        if height > 0 {
          text += Layout(columns: size.columns, rows: size.rows, height: height).closing
        }
        text += wanted?.opening ?? ""
        layout = wanted
        // Before it is needed: a signal may come between the two.
        cp_set_terminal_restore(wanted?.closing ?? "")
      }
      text += wanted?.drawing(lines) ?? ""
      if !text.isEmpty { Console.status(text) }
    }
  }

  /// Shows nothing any more.
  public func close() { draw { _, _ in [] } }
}
