internal import CQuantizers
public import Tensors

/// Encodes float32 rows in one of ggml's block formats.
///
/// The blocks are chosen for a small sum of squared errors, weighted by column where weights are given. The
/// bytes depend on rows and weights alone: every machine and any number of threads gives the same. Nothing is
/// allocated and nothing kept; any thread may encode.
public struct Quantizer: Sendable {
  /// Types that rows can be encoded in.
  public static let types: [TensorType] = [
    .q8_0, .q6_K, .q5_K, .q4_K, .iq4_XS, .iq4_NL, .q4_0, .mxfp4, .iq3_XXS,
  ]

  /// The largest magnitude of a weight that can be encoded.
  public static let largestMagnitude: Float = CQ_LARGEST

  /// The type of the blocks.
  public let type: TensorType
  private let encoder:
    @convention(c) (UnsafePointer<Float>, UnsafePointer<Float>?, Int, UnsafeMutablePointer<UInt8>)
      -> Void

  /// A quantiser to `type`, nil when it is none of ``types``.
  public init?(_ type: TensorType) {
    guard Self.types.contains(type), let encoder = cq_encoder(type.id) else { return nil }
    self.type = type
    self.encoder = encoder
  }

  /// Encodes whole rows.
  /// - Parameters:
  ///   - values: `[rows, columns]`, row-major.
  ///   - columns: Elements a row, whole blocks of ``type``.
  ///   - weights: What an error in each column counts; nil for all the same. Traps when they are not `columns`.
  ///   - firstRow: What errors call the first row.
  ///   - blocks: Receives the rows, one after another. Traps when it has another size.
  /// - Throws: `.unencodable` for the first element that is too large, infinite or no number, with its row and
  ///   column; what `blocks` holds then is undefined.
  public func encode(
    _ values: UnsafeBufferPointer<Float>, columns: Int, weights: ColumnWeights?, firstRow: Int = 0,
    into blocks: UnsafeMutableRawBufferPointer
  ) throws(QuantizerError) {
    let rowBytes = type.rowBytes(columns: columns)
    precondition(columns > 0 && values.count % columns == 0, "rows are whole")
    let rows = values.count / columns
    precondition(blocks.count == rows * rowBytes, "the blocks of \(rows) rows")
    precondition(weights == nil || weights?.columns == columns, "a weight for every column")
    guard let source = values.baseAddress, let target = blocks.baseAddress else { return }
    let bad = cq_unencodable(source, values.count)
    guard bad == values.count else {
      throw QuantizerError(
        .unencodable,
        "row \(firstRow + bad / columns), column \(bad % columns): expected a weight of magnitude "
          + "\(Self.largestMagnitude) at most for \(type), found \(values[bad])")
    }
    let bytes = target.assumingMemoryBound(to: UInt8.self)
    func encodeRows(_ weights: UnsafePointer<Float>?) {
      for row in 0..<rows {
        encoder(source + row * columns, weights, columns, bytes + row * rowBytes)
      }
    }
    if let weights {
      weights.values.withUnsafeBufferPointer { encodeRows($0.baseAddress) }
    } else {
      encodeRows(nil)
    }
  }
}
