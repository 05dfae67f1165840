internal import ExpertPack
internal import FileIO
internal import GGUF
internal import Kernels
internal import Tensors

/// Hands out resident tensors by name, once, with shape and type checked.
struct TensorBinder {
  private let pack: PackDirectory
  private let image: AlignedBuffer
  private let kernels: KernelSet
  private var bound: Set<String> = []
  /// Vectors that are not stored as float32, converted.
  private(set) var converted: [AlignedBuffer] = []

  init(pack: PackDirectory, image: AlignedBuffer, kernels: KernelSet) {
    self.pack = pack
    self.image = image
    self.kernels = kernels
  }

  func has(_ name: String) -> Bool { pack.residentTensor(name) != nil }

  /// A matrix that maps `columns` inputs to `rows` outputs, in its own element type.
  mutating func matrix(_ name: String, rows: Int, columns: Int) throws -> MatrixView {
    let tensor = try find(name, dimensions: [columns, rows])
    guard kernels.supports(tensor.type) else {
      throw wrong(name, expected: "an element type that moerun computes", found: "\(tensor.type)")
    }
    return MatrixView(
      type: tensor.type, rows: rows, columns: columns, base: try address(tensor, name))
  }

  /// A tensor of `dimensions` (ggml order) as float32, converted when it is stored as another
  /// floating-point type.
  mutating func vector(_ name: String, _ dimensions: Int...) throws -> UnsafePointer<Float> {
    let tensor = try find(name, dimensions: dimensions)
    let base = try address(tensor, name)
    let count = dimensions.reduce(1, *)
    if tensor.type == .f32 { return base.assumingMemoryBound(to: Float.self) }
    guard [.f16, .bf16].contains(tensor.type) else {
      throw wrong(name, expected: "F32, F16 or BF16", found: "\(tensor.type)")
    }
    let copy = try AlignedBuffer(count: count * 4)
    guard let floats = copy.bytes.baseAddress?.assumingMemoryBound(to: Float.self) else {
      preconditionFailure("a buffer always has an address")
    }
    let view = MatrixView(type: tensor.type, rows: 1, columns: count, base: base)
    kernels.dequantize(view, row: 0, into: floats)
    converted.append(copy)
    return UnsafePointer(floats)
  }

  /// Throws when a tensor of the main pass was not asked for: what the graph does not know, it
  /// would leave out without a word.
  func checkAllBound(layerCount: Int) throws {
    for tensor in pack.source.tensors {
      guard pack.residentTensor(tensor.name) != nil, !bound.contains(tensor.name) else { continue }
      if let block = TensorName.block(of: tensor.name), block >= layerCount { continue }
      throw ModelGraphError(
        .unsupported,
        "\(pack.path): tensor \(tensor.name): the \(ModelConfig.supportedArchitecture) graph has "
          + "no such weight; moerun cannot run this variant of the model yet")
    }
  }

  private mutating func find(
    _ name: String, dimensions: [Int]
  ) throws -> PackDirectory.ResidentTensor {
    guard let tensor = pack.residentTensor(name) else {
      throw wrong(name, expected: "shape \(dimensions)", found: "no such tensor")
    }
    // Axes of length 1 are written by some converters and left out by others.
    guard tensor.dimensions.filter({ $0 != 1 }) == dimensions.map(UInt64.init).filter({ $0 != 1 })
    else {
      throw wrong(name, expected: "shape \(dimensions)", found: "\(tensor.dimensions)")
    }
    bound.insert(name)
    return tensor
  }

  private func address(
    _ tensor: PackDirectory.ResidentTensor, _ name: String
  ) throws -> UnsafeRawPointer {
    guard let base = image.bytes.baseAddress, tensor.offset >= 0,
      tensor.byteCount <= image.count, tensor.offset <= image.count - tensor.byteCount
    else {
      throw wrong(
        name, expected: "bytes within the resident image of \(image.count) bytes",
        found: "\(tensor.byteCount) bytes at \(tensor.offset)")
    }
    return UnsafeRawPointer(base + tensor.offset)
  }

  private func wrong(_ name: String, expected: String, found: String) -> ModelGraphError {
    ModelGraphError(
      .invalidTensor, "\(pack.path): tensor \(name): expected \(expected), found \(found)")
  }
}
