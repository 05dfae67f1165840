public import ArgumentParser

/// A number of bytes as people write it: `8GiB`, `512MB`, `4096`.
public struct ByteSize: Hashable, Sendable, ExpressibleByArgument {
  /// The number.
  public let bytes: UInt64

  /// A size of `bytes` bytes.
  public init(bytes: UInt64) { self.bytes = bytes }

  private static let units: [(suffix: String, scale: UInt64)] = [
    ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("tib", 1 << 40),
    ("kb", 1000), ("mb", 1_000_000), ("gb", 1_000_000_000), ("tb", 1_000_000_000_000),
    ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("t", 1 << 40), ("b", 1), ("", 1),
  ]

  /// Reads a number, perhaps with a fraction, and a unit; nil for anything else or over 2^62.
  public init?(argument: String) {
    let text = argument.lowercased().filter { $0 != " " && $0 != "_" }
    let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let unit = Self.units.first(where: { $0.suffix == text.dropFirst(number.count) }),
      let value = Double(number), value >= 0
    else { return nil }
    let bytes = (value * Double(unit.scale)).rounded()
    guard bytes < 4.6e18 else { return nil }
    self.bytes = UInt64(bytes)
  }

  /// `count` with a binary unit and three figures: `5.19 MiB`.
  public static func text(_ count: UInt64) -> String {
    let names = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(count)
    var index = 0
    while value >= 1024 && index < names.count - 1 {
      value /= 1024
      index += 1
    }
    if index == 0 { return "\(count) B" }
    return "\(decimal(value, value < 10 ? 2 : value < 100 ? 1 : 0)) \(names[index])"
  }

  /// `count` as ``text(_:)`` has it, but never less than it is: for what is asked for.
  public static func textRoundedUp(_ count: UInt64) -> String {
    var unit: UInt64 = 1
    while count / unit >= 1024, unit < 1 << 40 { unit <<= 10 }
    guard unit > 1 else { return text(count) }
    let value = Double(count) / Double(unit)
    let scale: Double = value < 10 ? 100 : value < 100 ? 10 : 1
    let rounded = (value * scale).rounded(.up) / scale
    return text(UInt64((rounded * Double(unit)).rounded(.up)))
  }

  /// The size as help texts state it.
  public var defaultValueDescription: String { Self.text(bytes) }
}

/// `value` with `places` digits after the point, rounded.
public func decimal(_ value: Double, _ places: Int) -> String {
  guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let scaled = Int((abs(value) * scale).rounded())
  let sign = value < 0 && scaled > 0 ? "-" : ""
  guard places > 0 else { return sign + String(scaled) }
  let digits = String(scaled)
  let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
  return sign + padded.dropLast(places) + "." + padded.suffix(places)
}
