/// What matrix products multiply weights by: vectors of float32, and the same quantised where the
/// kernels want them so. Owns nothing; the memory must live through the call.
public struct Activations {
  /// How much of quantised activations a product uses.
  public enum Precision: Sendable {
    /// The nearest 8-bit integers, as llama.cpp's products do: half the multiplications.
    case bits8
    /// 16 bits: as good as floats. What waits for memory or decodes weights is as fast.
    case bits16
  }

  /// `[tokens, columns]`, ``stride`` floats from row to row.
  public var values: UnsafePointer<Float>
  /// At least the number of columns with two tokens or more.
  public var stride: Int
  /// The rows that ``KernelSet/quantize(_:stride:columns:tokens:precision:into:)`` wrote for them, one after
  /// another; nil when there are none.
  public var quantized: UnsafeRawPointer?
  /// The quantised row of each token; nil when token t is row t. Products of floats take no list.
  public var rows: UnsafePointer<Int32>?
  /// Used where products take quantised rows; they were quantised for it.
  public var precision: Precision

  /// Activations with a quantised form, or without.
  public init(
    _ values: UnsafePointer<Float>, stride: Int, quantized: UnsafeRawPointer? = nil,
    rows: UnsafePointer<Int32>? = nil, precision: Precision = .bits16
  ) {
    self.values = values
    self.stride = stride
    self.quantized = quantized
    self.rows = rows
    self.precision = precision
  }
}
