internal import CKernels
public import Tensors

/// Softmax attention.
extension KernelSet {
  /// Floats of scratch that ``attend(_:queries:stride:heads:scale:into:outStride:scratch:)`` needs for
  /// `heads` heads of `size` elements. Grows by less than three times the queries, and not with the
  /// positions.
  public static func attentionScratchCount(heads: Int, size: Int) -> Int {
    precondition(heads >= 0 && size >= 0, "\(heads) heads of \(size)")
    return ck_attention_scratch_floats(heads, size)
  }

  /// `out[h] = sum over p of w[p] * values[p]`, with `w = softmax over p of scale * q[h] . keys[p]`.
  ///
  /// One pass over keys and values with a running maximum (online softmax), so the memory that it
  /// takes does not depend on the positions. The bits of a head depend on its query, keys and values
  /// alone. Scores that are no numbers give results that are none.
  ///
  /// - Parameters:
  ///   - memory: What the heads attend to; at least one position.
  ///   - queries: `[heads, size]`.
  ///   - stride: Floats from one query to the next.
  ///   - heads: Query heads that share the keys and values.
  ///   - scale: Of the scores.
  ///   - out: `[heads, size]`; not the queries.
  ///   - outStride: Floats from one result to the next.
  ///   - scratch: ``attentionScratchCount(heads:size:)`` floats of the calling thread's own, aligned to 64
  ///     bytes.
  public func attend(
    _ memory: KeyValueView, queries: UnsafePointer<Float>, stride: Int, heads: Int, scale: Float,
    into out: UnsafeMutablePointer<Float>, outStride: Int, scratch: UnsafeMutablePointer<Float>
  ) {
    precondition(memory.positions >= 1 && heads >= 0, "\(memory.positions) positions")
    precondition(heads <= 1 || (stride >= memory.size && outStride >= memory.size))
    precondition(UInt(bitPattern: scratch).isMultiple(of: 64), "scratch is not aligned")
    var attention = ck_attention(
      type: memory.type.tensorType.id, keys: memory.keys, values: memory.values,
      row_bytes: memory.type.rowBytes(size: memory.size), positions: memory.positions,
      dim: memory.size, queries: queries, query_stride: stride, heads: heads, scale: scale,
      out: out, out_stride: outStride)
    table.pointee.attend(&attention, scratch)
  }

  /// Writes one head's key or value for one position as a row of `type`: `[size]`.
  ///
  /// The same bits for all instruction sets. What is not finite does not become finite.
  public static func store(
    _ x: UnsafePointer<Float>, size: Int, as type: KeyValueType,
    into row: UnsafeMutableRawPointer
  ) {
    precondition(type.isPossible(size: size), "a head of \(size) cannot be \(type)")
    ck_store_row(type.tensorType.id, x, size, row)
  }
}

/// What keys and values are kept as.
public enum KeyValueType: String, Sendable, CaseIterable, Codable {
  /// Single precision: exact.
  case f32
  /// Half precision: half the bytes.
  case f16
  /// 8-bit integers with a scale for 32 neighbours, ggml's Q8_0: a little over a quarter.
  case q8_0

  /// The same type of a tensor.
  public var tensorType: TensorType {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .q8_0: .q8_0
    }
  }

  /// Whether heads of `size` elements are whole blocks.
  public func isPossible(size: Int) -> Bool { size.isMultiple(of: tensorType.blockSize) }

  /// Bytes of one head's key for one position.
  public func rowBytes(size: Int) -> Int { tensorType.rowBytes(columns: size) }
}

/// Keys and values of one head, `[positions, size]` each, without gaps. Owns nothing.
public struct KeyValueView {
  /// What they are kept as.
  public var type: KeyValueType
  /// Rows as ``KernelSet/store(_:size:as:into:)`` writes them.
  public var keys: UnsafeRawPointer
  /// Rows as ``keys``.
  public var values: UnsafeRawPointer
  /// Rows.
  public var positions: Int
  /// Elements of a row.
  public var size: Int

  /// A view of memory that the caller owns.
  public init(
    type: KeyValueType, keys: UnsafeRawPointer, values: UnsafeRawPointer, positions: Int, size: Int
  ) {
    precondition(type.isPossible(size: size), "a head of \(size) cannot be \(type)")
    (self.type, self.keys, self.values) = (type, keys, values)
    (self.positions, self.size) = (positions, size)
  }
}
