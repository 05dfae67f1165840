internal import FileIO
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// What the gated delta nets carry from token to token, float32, zeros at the start.
final class RecurrentState {
  private let shape: ModelConfig.DeltaNet
  private let memory: AlignedBuffer  // f32 [layers, state + history]

  init(config: ModelConfig) throws {
    shape = config.deltaNet
    memory = try AlignedBuffer(count: Self.byteCount(config: config))
  }

  /// Bytes of the state of all layers.
  static func byteCount(config: ModelConfig) -> Int {
    (config.deltaNet.stateSize + config.deltaNet.historySize) * config.deltaNetLayerCount * 4
  }

  /// Associations of one value head: `[key index, value index]`. `layer` counts the layers with a
  /// gated delta net.
  func associations(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
    base(layer) + head * shape.headSize * shape.headSize
  }

  /// The last inputs of the convolution: `[width - 1, channels]`, oldest first.
  func history(layer: Int) -> UnsafeMutablePointer<Float> { base(layer) + shape.stateSize }

  /// Back to the start of a sequence.
  func reset() {
    if let base = memory.bytes.baseAddress { memset(base, 0, memory.count) }
  }

  private func base(_ layer: Int) -> UnsafeMutablePointer<Float> {
    guard let base = memory.bytes.baseAddress?.assumingMemoryBound(to: Float.self) else {
      preconditionFailure("a buffer always has an address")
    }
    return base + layer * (shape.stateSize + shape.historySize)
  }
}
