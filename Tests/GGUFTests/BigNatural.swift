/// A natural number of any size, by the schoolbook: what size arithmetic is compared with.
struct BigNatural: Comparable {
  /// Base 2^32 digits, least significant first, no leading zeros.
  private var digits: [UInt32] = []

  init(_ value: UInt64) {
    digits = [UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value >> 32)]
    normalize()
  }

  private mutating func normalize() {
    while digits.last == 0 { digits.removeLast() }
  }

  static func + (left: BigNatural, right: BigNatural) -> BigNatural {
    var sum = BigNatural(0)
    var carry: UInt64 = 0
    for index in 0...max(left.digits.count, right.digits.count) {
      let a = index < left.digits.count ? UInt64(left.digits[index]) : 0
      let b = index < right.digits.count ? UInt64(right.digits[index]) : 0
      carry += a + b
      sum.digits.append(UInt32(truncatingIfNeeded: carry))
      carry >>= 32
    }
    sum.normalize()
    return sum
  }

  static func * (left: BigNatural, right: BigNatural) -> BigNatural {
    var product = BigNatural(0)
    product.digits = [UInt32](repeating: 0, count: left.digits.count + right.digits.count)
    for (i, a) in left.digits.enumerated() {
      var carry: UInt64 = 0
      for (j, b) in right.digits.enumerated() {
        carry += UInt64(product.digits[i + j]) + UInt64(a) * UInt64(b)
        product.digits[i + j] = UInt32(truncatingIfNeeded: carry)
        carry >>= 32
      }
      product.digits[i + right.digits.count] = UInt32(carry)
    }
    product.normalize()
    return product
  }

  /// Quotient and remainder by a divisor below 2^32, not zero.
  func quotientAndRemainder(dividingBy divisor: UInt32) -> (quotient: BigNatural, remainder: UInt32)
  {
    var quotient = self
    var rest: UInt64 = 0
    for index in digits.indices.reversed() {
      rest = rest << 32 | UInt64(digits[index])
      quotient.digits[index] = UInt32(rest / UInt64(divisor))
      rest %= UInt64(divisor)
    }
    quotient.normalize()
    return (quotient, UInt32(rest))
  }

  static func < (left: BigNatural, right: BigNatural) -> Bool {
    guard left.digits.count == right.digits.count else {
      return left.digits.count < right.digits.count
    }
    return left.digits.reversed().lexicographicallyPrecedes(right.digits.reversed())
  }
}
