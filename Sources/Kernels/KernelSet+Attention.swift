internal import CKernels
public import Tensors

/// Softmax attention.
extension KernelSet {
  /// Floats of scratch that ``attend(_:queries:scale:into:scratch:)`` needs for `queries` queries, the heads
  /// of all its tokens, of `size` elements. Grows by less than three times the queries, and not with the
  /// positions.
  public static func attentionScratchCount(queries: Int, size: Int) -> Int {
    precondition(queries >= 0 && size >= 0, "\(queries) queries of \(size)")
    return ck_attention_scratch_floats(queries, size)
  }

  /// `out[t, h] = sum over p of w[p] * values[p]`, with
  /// `w = softmax over p of scale * q[t, h] . keys[p]`; the first token sees the positions of `memory`, and each
  /// later one sees one more.
  ///
  /// Keys and values are turned to floats once for all heads and tokens of the call.
  ///
  /// One pass over keys and values with a running maximum (online softmax), so the memory that it
  /// takes does not depend on the positions. The bits of a query's answer depend on it, its keys and values
  /// alone. Scores that are no numbers give results that are none.
  ///
  /// - Parameters:
  ///   - memory: What the first token attends to, at least one position; those of the later tokens follow.
  ///   - queries: `[tokens, heads, size]`, of heads that share the keys and values.
  ///   - scale: Of the scores.
  ///   - out: Where the answers to `queries` go; not the queries.
  ///   - scratch: ``attentionScratchCount(queries:size:)`` floats of the calling thread's own, aligned to 64
  ///     bytes.
  public func attend(
    _ memory: KeyValueView, queries: Queries, scale: Float, into out: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let size = memory.size
    precondition(memory.positions >= 1, "\(memory.positions) positions")
    precondition(queries.heads >= 0 && queries.tokens >= 1, "\(queries)")
    precondition(queries.tokens == 1 || queries.stride >= queries.heads * size, "\(queries)")
    precondition(UInt(bitPattern: scratch).isMultiple(of: 64), "scratch is not aligned")
    var attention = ck_attention(
      type: memory.type.tensorType.id, keys: memory.keys, values: memory.values,
      row_bytes: memory.type.rowBytes(size: size), positions: memory.positions, dim: size,
      queries: queries.base, query_stride: size, query_token_stride: queries.stride,
      heads: queries.heads, tokens: queries.tokens, scale: scale, out: out, out_stride: size,
      out_token_stride: queries.stride)
    table.pointee.attend(&attention, scratch)
  }

  /// Queries of some heads of consecutive tokens, and where answers to them go.
  public struct Queries {
    /// `[tokens, heads, size]`, a head's elements behind those of the one before.
    public var base: UnsafePointer<Float>
    /// Heads of a token.
    public var heads: Int
    /// Tokens, at least one.
    public var tokens: Int
    /// Floats from a token to the next, here and in the answers.
    public var stride: Int

    /// A view of memory that the caller owns.
    public init(_ base: UnsafePointer<Float>, heads: Int, tokens: Int = 1, stride: Int = 0) {
      (self.base, self.heads, self.tokens, self.stride) = (base, heads, tokens, stride)
    }
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
