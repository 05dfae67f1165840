/// The exponential function out of IEEE operations alone.
///
/// The C libraries' differ in the last bit between systems, and a last bit can turn one sampled
/// token, and with it the rest of a text, into another.
package enum PortableExponential {
  /// e^x for x <= 0, within 2e-16 relative; 0 below -708, where results leave the normal range.
  ///
  /// x = k ln 2 + r with |r| <= ln(2)/2; e^r by its Taylor series to r^13 / 13! (remainder 4e-18).
  @inline(__always)
  package static func exp(_ x: Double) -> Double {
    guard x > -708 else { return 0 }
    // Adding 1.5 * 2^52 rounds to an integer, which ends up in the low bits.
    let shifted = x * 1.4426950408889634 + 0x1.8p52
    let k = shifted - 0x1.8p52
    // ln 2 in two parts, the first short enough that k times it is exact (fdlibm).
    let r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
    var sum = 1 / 6227020800.0
    sum = sum * r + 1 / 479001600.0
    sum = sum * r + 1 / 39916800.0
    sum = sum * r + 1 / 3628800.0
    sum = sum * r + 1 / 362880.0
    sum = sum * r + 1 / 40320.0
    sum = sum * r + 1 / 5040.0
    sum = sum * r + 1 / 720.0
    sum = sum * r + 1 / 120.0
    sum = sum * r + 1 / 24.0
    sum = sum * r + 1 / 6.0
    sum = sum * r + 0.5
    sum = sum * r + 1
    sum = sum * r + 1
    let power = (shifted.bitPattern &+ 1023) << 52
    return sum * Double(bitPattern: power)
  }

  /// The largest y <= 0 with e^y <= `share`, by bisection; `share` is in 0 ... 1.
  package static func logarithm(_ share: Double) -> Double {
    var (low, high) = (-708.0, 0.0)
    guard share < 1 else { return high }
    while true {
      let middle = (low + high) / 2
      guard middle > low, middle < high else { return low }
      if exp(middle) <= share { low = middle } else { high = middle }
    }
  }
}
