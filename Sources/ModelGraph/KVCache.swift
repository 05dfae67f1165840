internal import FileIO
internal import Kernels

/// Keys and values of all positions so far, of every layer with softmax attention.
///
/// Positions of one head lie together.
final class KVCache {
  let type: KeyValueType
  private let contextLength: Int
  private let shape: ModelConfig.Attention
  private let rowBytes: Int
  private let memory: AlignedBuffer  // [layers, 2, kv heads, context, rowBytes]

  init(config: ModelConfig, contextLength: Int, type: KeyValueType) throws {
    self.type = type
    self.contextLength = contextLength
    shape = config.attention
    rowBytes = type.rowBytes(size: shape.headSize)
    memory = try AlignedBuffer(
      count: Self.byteCount(config: config, contextLength: contextLength, type: type))
  }

  /// Has the kernel give the cache its pages now.
  func populate() { memory.populate(0..<memory.count) }

  /// Bytes of the cache for `contextLength` positions.
  static func byteCount(config: ModelConfig, contextLength: Int, type: KeyValueType) -> Int {
    let shape = config.attention
    return type.rowBytes(size: shape.headSize) * shape.keyValueHeadCount * contextLength * 2
      * config.attentionLayerCount
  }

  /// Keeps the key and the value that `head` has at `position`: `[head size]` each.
  func store(
    key: UnsafePointer<Float>, value: UnsafePointer<Float>, layer: Int, head: Int, position: Int
  ) {
    precondition(position < contextLength, "position \(position) of \(contextLength)")
    let offset = position * rowBytes
    KernelSet.store(
      key, size: shape.headSize, as: type,
      into: address(layer: layer, part: 0, head: head) + offset)
    KernelSet.store(
      value, size: shape.headSize, as: type,
      into: address(layer: layer, part: 1, head: head) + offset)
  }

  /// The first `positions` keys and values of a head.
  func view(layer: Int, head: Int, positions: Int) -> KeyValueView {
    KeyValueView(
      type: type, keys: address(layer: layer, part: 0, head: head),
      values: address(layer: layer, part: 1, head: head), positions: positions,
      size: shape.headSize)
  }

  /// Where the part of a head starts; `layer` counts the layers with softmax attention.
  private func address(layer: Int, part: Int, head: Int) -> UnsafeMutableRawPointer {
    guard let base = memory.bytes.baseAddress else {
      preconditionFailure("a buffer always has an address")
    }
    let index = (layer * 2 + part) * shape.keyValueHeadCount + head
    return base + index * contextLength * rowBytes
  }
}
