/// A line chart as SVG: a line a series, axes with round numbers, a legend.
public struct LineChart {
  /// One line.
  public struct Series {
    let name: String
    let points: [(x: Double, y: Double)]

    /// A line through `points`, in order of x.
    public init(name: String, points: [(x: Double, y: Double)]) {
      self.name = name
      self.points = points
    }
  }

  private let title: String
  private let xTitle: String
  private let yTitle: String
  private let series: [Series]

  private static let size = (width: 760.0, height: 440.0)
  private static let plot = (left: 64.0, top: 44.0, right: 600.0, bottom: 384.0)
  /// Okabe and Ito's palette: told apart with any colour vision.
  private static let colours = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
  ]

  /// - Parameters:
  ///   - title: Line above the chart.
  ///   - xTitle: What x is, with the unit.
  ///   - yTitle: What y is, with the unit.
  ///   - series: The lines; points that are no finite numbers are left out.
  public init(title: String, xTitle: String, yTitle: String, series: [Series]) {
    self.title = title
    self.xTitle = xTitle
    self.yTitle = yTitle
    self.series = series.map { line in
      Series(name: line.name, points: line.points.filter { $0.x.isFinite && $0.y.isFinite })
    }
  }

  /// The chart as an XML document.
  public var svg: String {
    let points = series.flatMap(\.points)
    let xAxis = Axis(to: points.map(\.x).max() ?? 1)
    let yAxis = Axis(to: points.map(\.y).max() ?? 1)
    let (plot, size) = (Self.plot, Self.size)
    func x(_ value: Double) -> Double {
      plot.left + value / xAxis.end * (plot.right - plot.left)
    }
    func y(_ value: Double) -> Double {
      plot.bottom - value / yAxis.end * (plot.bottom - plot.top)
    }
    var lines = [
      #"<?xml version="1.0" encoding="UTF-8"?>"#,
      #"<svg xmlns="http://www.w3.org/2000/svg" width="\#(decimal(size.width, 0))" height="#
        + #""\#(decimal(size.height, 0))" font-family="sans-serif" font-size="12">"#,
      #"<rect width="100%" height="100%" fill="white"/>"#,
      Self.text(title, x: plot.left, y: 24, size: 15),
    ]
    for value in yAxis.marks {
      lines.append(Self.line(plot.left, y(value), plot.right, y(value), colour: "#dddddd"))
      lines.append(Self.text(yAxis.label(value), x: plot.left - 8, y: y(value) + 4, anchor: "end"))
    }
    for value in xAxis.marks {
      lines.append(Self.line(x(value), plot.bottom, x(value), plot.bottom + 5, colour: "#333333"))
      lines.append(
        Self.text(xAxis.label(value), x: x(value), y: plot.bottom + 20, anchor: "middle"))
    }
    lines.append(Self.line(plot.left, plot.bottom, plot.right, plot.bottom, colour: "#333333"))
    lines.append(Self.line(plot.left, plot.top, plot.left, plot.bottom, colour: "#333333"))
    lines.append(
      Self.text(
        xTitle, x: (plot.left + plot.right) / 2, y: plot.bottom + 42, anchor: "middle"))
    let middle = decimal((plot.top + plot.bottom) / 2, 1)
    lines.append(
      #"<text x="18" y="\#(middle)" text-anchor="middle" transform="#
        + #""rotate(-90 18 \#(middle))">\#(Self.escape(yTitle))</text>"#)
    for (index, line) in series.enumerated() {
      let colour = Self.colours[index % Self.colours.count]
      let path = line.points.map { "\(decimal(x($0.x), 1)),\(decimal(y($0.y), 1))" }
      lines.append(
        #"<polyline fill="none" stroke="\#(colour)" stroke-width="2" points="#
          + #""\#(path.joined(separator: " "))"/>"#)
      for point in line.points {
        lines.append(
          #"<circle cx="\#(decimal(x(point.x), 1))" cy="\#(decimal(y(point.y), 1))" r="3" fill="#
            + #""\#(colour)"/>"#)
      }
      let height = plot.top + 10 + Double(index) * 22
      lines.append(
        Self.line(plot.right + 20, height, plot.right + 44, height, colour: colour, width: 2))
      lines.append(Self.text(line.name, x: plot.right + 52, y: height + 4))
    }
    lines.append("</svg>")
    return lines.joined(separator: "\n") + "\n"
  }

  private static func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, colour: String, width: Int = 1
  ) -> String {
    #"<line x1="\#(decimal(x1, 1))" y1="\#(decimal(y1, 1))" x2="\#(decimal(x2, 1))" y2="#
      + #""\#(decimal(y2, 1))" stroke="\#(colour)" stroke-width="\#(width)"/>"#
  }

  private static func text(
    _ content: String, x: Double, y: Double, anchor: String = "start", size: Int = 12
  ) -> String {
    #"<text x="\#(decimal(x, 1))" y="\#(decimal(y, 1))" text-anchor="\#(anchor)" font-size="#
      + #""\#(size)">\#(escape(content))</text>"#
  }

  /// `text` as XML character data; characters that XML 1.0 cannot hold become U+FFFD.
  private static func escape(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\t", "\n", "\r": result += " "
      case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

/// Round numbers from 0 to beyond the largest value.
private struct Axis {
  let end: Double
  let marks: [Double]
  private let places: Int

  init(to largest: Double) {
    let largest = largest > 0 ? largest : 1
    // The step is 1, 2 or 5 times a power of ten, and 4 to 10 of them cover the values.
    var unit = 1.0
    var places = 0
    while unit * 10 <= largest { unit *= 10 }
    while unit > largest {
      unit /= 10
      places += 1
    }
    var step = unit
    for share in [0.1, 0.2, 0.5, 1.0] where largest / (unit * share) <= 10 {
      step = unit * share
      if share < 1 { places += unit > 1 ? 0 : 1 }
      break
    }
    let count = Int((largest / step).rounded(.up))
    marks = (0...count).map { Double($0) * step }
    end = Double(count) * step
    self.places = places
  }

  func label(_ value: Double) -> String { decimal(value, places) }
}
