/// Told about work done, from any thread: bytes just finished and what they were for.
public typealias PackProgress = @Sendable (_ bytes: UInt64) -> Void

extension UnsafeMutableRawBufferPointer {
  /// The bytes of `range`.
  func part(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    // Slices of unsafe buffers are unchecked in release.
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) of \(count) bytes")
    return .init(rebasing: self[range])
  }
}

extension UnsafeRawBufferPointer {
  /// The bytes of `range`.
  func part(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) of \(count) bytes")
    return .init(rebasing: self[range])
  }
}
