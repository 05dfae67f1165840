/// What matrix products multiply weights by: vectors of float32, and the same quantised where the
/// kernels want them so. Owns nothing; the memory must live through the call.
public struct Activations {
  /// `[tokens, columns]`, ``stride`` floats from row to row.
  public var values: UnsafePointer<Float>
  /// At least the number of columns with two tokens or more.
  public var stride: Int
  /// The rows that ``KernelSet/quantize(_:stride:columns:tokens:into:)`` wrote for them, one after
  /// another; nil when there are none.
  public var quantized: UnsafeRawPointer?

  /// Activations with a quantised form, or without.
  public init(
    _ values: UnsafePointer<Float>, stride: Int, quantized: UnsafeRawPointer? = nil
  ) {
    self.values = values
    self.stride = stride
    self.quantized = quantized
  }
}
