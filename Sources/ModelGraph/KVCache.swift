internal import FileIO
internal import Tensors

/// Keys and values of all positions so far, float32, of every layer with softmax attention.
///
/// Positions of one head lie together, so that the scores of a query are one matrix product.
final class KVCache {
  let contextLength: Int
  private let shape: ModelConfig.Attention
  private let memory: AlignedBuffer  // f32 [layers, 2, kv heads, context, head size]

  init(config: ModelConfig, contextLength: Int) throws {
    self.contextLength = contextLength
    shape = config.attention
    memory = try AlignedBuffer(
      count: Self.byteCount(config: config, contextLength: contextLength))
  }

  /// Has the kernel give the cache its pages now.
  func populate() { memory.populate(0..<memory.count) }

  /// Bytes of the cache for `contextLength` positions.
  static func byteCount(config: ModelConfig, contextLength: Int) -> Int {
    let floats = config.attention.keyValueSize * contextLength * 2
    return floats * config.attentionLayerCount * 4
  }

  /// Keys of one head: `[context, head size]`.
  func keys(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
    address(layer: layer, part: 0, head: head)
  }

  /// Values of one head: `[context, head size]`.
  func values(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
    address(layer: layer, part: 1, head: head)
  }

  /// The first `positions` keys of a head as a matrix.
  func keyMatrix(layer: Int, head: Int, positions: Int) -> MatrixView {
    MatrixView(
      type: .f32, rows: positions, columns: shape.headSize,
      base: UnsafeRawPointer(keys(layer: layer, head: head)))
  }

  /// Where the part of a head starts; `layer` counts the layers with softmax attention.
  private func address(layer: Int, part: Int, head: Int) -> UnsafeMutablePointer<Float> {
    guard let base = memory.bytes.baseAddress?.assumingMemoryBound(to: Float.self) else {
      preconditionFailure("a buffer always has an address")
    }
    let index = (layer * 2 + part) * shape.keyValueHeadCount + head
    return base + index * contextLength * shape.headSize
  }
}
