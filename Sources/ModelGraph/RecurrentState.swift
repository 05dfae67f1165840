internal import FileIO
internal import Kernels
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
  /// Floats of a value head, and of a layer: its heads and the history.
  private let headFloats, layerFloats: Int
  private let memory: AlignedBuffer  // f32 [layers, heads * headFloats + history]

  init(config: ModelConfig) throws {
    shape = config.deltaNet
    headFloats = Self.headFloats(shape)
    layerFloats = shape.valueHeadCount * headFloats + shape.historySize
    memory = try AlignedBuffer(count: Self.byteCount(config: config))
  }

  /// Bytes of the state of all layers.
  static func byteCount(config: ModelConfig) -> Int {
    let shape = config.deltaNet
    let floats = shape.valueHeadCount * headFloats(shape) + shape.historySize
    return floats * config.deltaNetLayerCount * 4
  }

  private static func headFloats(_ shape: ModelConfig.DeltaNet) -> Int {
    KernelSet.deltaStateFloats(dimension: shape.headSize)
  }

  /// The state of one value head, as ``KernelSet/deltaSteps(state:_:dimension:)`` keeps it. `layer` counts
  /// the layers with a gated delta net.
  func head(_ head: Int, layer: Int) -> UnsafeMutablePointer<Float> {
    base(layer) + head * headFloats
  }

  /// The last inputs of the convolution: `[width - 1, channels]`, oldest first.
  func history(layer: Int) -> UnsafeMutablePointer<Float> {
    base(layer) + shape.valueHeadCount * headFloats
  }

  /// Back to the start of a sequence.
  func reset() {
    if let base = memory.bytes.baseAddress { memset(base, 0, memory.count) }
  }

  private func base(_ layer: Int) -> UnsafeMutablePointer<Float> {
    guard let base = memory.bytes.baseAddress?.assumingMemoryBound(to: Float.self) else {
      preconditionFailure("a buffer always has an address")
    }
    return base + layer * layerFloats
  }
}
