/// Rows of text in aligned columns, two spaces apart.
public struct TextTable {
  private let alignRight: [Bool]
  private var rows: [[String]]

  /// - Parameters:
  ///   - header: Titles of the columns.
  ///   - right: Columns whose cells are numbers, aligned to the right.
  public init(_ header: [String], right: Set<Int>) {
    rows = [header]
    alignRight = header.indices.map(right.contains)
  }

  /// Adds a row with as many cells as the header.
  public mutating func add(_ cells: [String]) {
    precondition(cells.count == alignRight.count)
    rows.append(cells)
  }

  /// The table, a line a row, without a line feed at the end.
  public var text: String {
    let widths = alignRight.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        line += (column > 0 ? "  " : "") + (alignRight[column] ? padding + cell : cell + padding)
      }
      while line.last == " " { line.removeLast() }
      return line
    }.joined(separator: "\n")
  }
}
