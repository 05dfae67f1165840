internal import CXXHash

/// XXH3 of bytes in memory (https://github.com/Cyan4973/xxHash, XXH3 as frozen in 0.8.0).
public enum XXH3 {
  /// XXH3-64 of `bytes` with `seed`.
  public static func hash64(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    cxx_hash64(bytes.baseAddress, bytes.count, seed)
  }

  /// XXH3-128 of `bytes`, seed 0; what `xxhsum -H2` prints.
  public static func hash128(_ bytes: UnsafeRawBufferPointer) -> Digest128 {
    let hash = cxx_hash128(bytes.baseAddress, bytes.count)
    return Digest128(high: hash.high64, low: hash.low64)
  }
}

/// A 128-bit digest, written as 32 lower-case hexadecimal digits, high half first.
public struct Digest128: Hashable, Sendable, CustomStringConvertible {
  /// The upper half.
  public let high: UInt64
  /// The lower half.
  public let low: UInt64

  /// The digest with these halves.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Reads 32 lower-case hexadecimal digits; nil for anything else.
  public init?(hexadecimal text: String) {
    let digits = Array(text.utf8)
    guard digits.count == 32 else { return nil }
    var halves: [UInt64] = [0, 0]
    for (index, digit) in digits.enumerated() {
      let value: UInt8
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
      default: return nil
      }
      halves[index / 16] = halves[index / 16] << 4 | UInt64(value)
    }
    self.init(high: halves[0], low: halves[1])
  }

  /// 32 lower-case hexadecimal digits.
  public var description: String { Self.hexadecimal(high) + Self.hexadecimal(low) }

  /// 16 lower-case hexadecimal digits of `value`.
  public static func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// XXH3-128 of bytes that arrive in pieces. One thread at a time.
public final class XXH3Stream128 {
  private let state: OpaquePointer

  /// A stream of no bytes yet.
  public init() {
    guard let state = XXH3_createState() else { preconditionFailure("out of memory") }
    self.state = state
    XXH3_128bits_reset(state)
  }

  deinit { XXH3_freeState(state) }

  /// Adds `bytes` to what is hashed.
  public func update(_ bytes: UnsafeRawBufferPointer) {
    cxx_update128(state, bytes.baseAddress, bytes.count)
  }

  /// The digest of all bytes so far; more may follow.
  public var digest: Digest128 {
    let hash = XXH3_128bits_digest(state)
    return Digest128(high: hash.high64, low: hash.low64)
  }
}

/// XXH3-64 with a seed of bytes that arrive in pieces. One thread at a time.
public final class XXH3Stream64 {
  private let state: OpaquePointer

  /// A stream of no bytes yet.
  public init(seed: UInt64) {
    guard let state = XXH3_createState() else { preconditionFailure("out of memory") }
    self.state = state
    XXH3_64bits_reset_withSeed(state, seed)
  }

  deinit { XXH3_freeState(state) }

  /// Adds `bytes` to what is hashed.
  public func update(_ bytes: UnsafeRawBufferPointer) {
    cxx_update64(state, bytes.baseAddress, bytes.count)
  }

  /// The checksum of all bytes so far; more may follow.
  public var value: UInt64 { XXH3_64bits_digest(state) }
}
