internal import Tensors

/// Reads and checks the tensor infos of a header.
struct TensorParser {
  private let alignment: UInt32
  private let shard: Int
  private var names: Set<String> = []
  /// Tensors with offsets from the start of the data section.
  private var tensors: [GGUFTensor] = []
  /// Where the offset field of each tensor is in the header.
  private var offsetFields: [Int] = []

  /// A parser of `count` tensor infos, a number that the length of the file allows.
  init(count: Int, alignment: UInt32, shard: Int) {
    self.alignment = alignment
    self.shard = shard
    names.reserveCapacity(count)
    tensors.reserveCapacity(count)
    offsetFields.reserveCapacity(count)
  }

  /// Takes the info of tensor `index`.
  mutating func parse(_ reader: inout HeaderReader, index: Int) throws {
    var field = HeaderField(section: .tensor, index: index)
    let start = reader.offset
    let name = try reader.text(limit: GGUFLimits.tensorNameByteCount, field("name"))
    guard !name.isEmpty else {
      throw reader.failure(
        .invalidValue, at: start, field("name"), expected: "a name", found: "an empty one")
    }
    field.name = name
    guard names.insert(name).inserted else {
      throw reader.failure(
        .duplicateName, at: start, field("name"), expected: "every name once",
        found: "it again")
    }
    let dimensions = try dimensions(&reader, field)
    let type = try tensorType(&reader, field("type"))
    guard dimensions[0] % UInt64(type.blockSize) == 0 else {
      throw reader.failure(
        .invalidDimensions, at: start, field("dimension 0"),
        expected: "a multiple of \(type.blockSize), the block of \(type)",
        found: "\(dimensions[0])")
    }
    guard let byteCount = TensorLayout.byteCount(type, dimensions) else {
      throw reader.failure(
        .invalidDimensions, at: start, field("size"), expected: "at most \(Int64.max) bytes",
        found: "dimensions \(dimensions) of \(type)")
    }
    let position = reader.offset
    let offset = try reader.integer(UInt64.self, field("offset"))
    guard offset % UInt64(alignment) == 0 else {
      throw reader.failure(
        .misalignedTensor, at: position, field("offset"),
        expected: "a multiple of the alignment \(alignment)", found: "\(offset)")
    }
    offsetFields.append(position)
    tensors.append(
      GGUFTensor(
        name: name, type: type, dimensions: dimensions, shard: shard, offset: offset,
        byteCount: byteCount))
  }

  private func dimensions(
    _ reader: inout HeaderReader, _ field: HeaderField
  ) throws -> [UInt64] {
    let start = reader.offset
    let count = try reader.integer(UInt32.self, field("dimension count"))
    guard count >= 1, count <= UInt32(GGUFLimits.dimensionCount) else {
      throw reader.failure(
        .invalidDimensions, at: start, field("dimension count"),
        expected: "1 to \(GGUFLimits.dimensionCount)", found: "\(count)")
    }
    var dimensions: [UInt64] = []
    dimensions.reserveCapacity(Int(count))
    for axis in 0..<Int(count) {
      let position = reader.offset
      let part = Self.dimensionNames[axis]
      let dimension = try reader.integer(UInt64.self, field(part))
      guard dimension >= 1, dimension <= UInt64(Int64.max) else {
        throw reader.failure(
          .invalidDimensions, at: position, field(part), expected: "1 to \(Int64.max)",
          found: "\(dimension)")
      }
      dimensions.append(dimension)
    }
    return dimensions
  }

  private static let dimensionNames = ["dimension 0", "dimension 1", "dimension 2", "dimension 3"]

  private func tensorType(
    _ reader: inout HeaderReader, _ field: HeaderField
  ) throws -> TensorType {
    let start = reader.offset
    let id = try reader.integer(UInt32.self, field)
    if let type = TensorType(id: id) { return type }
    if let name = TensorType.removedName(id: id) {
      throw reader.failure(
        .removedTensorType, at: start, field, expected: "a type that ggml still has",
        found: "\(name) (\(id)), which was removed",
        advice: "quantize the model again from its original")
    }
    throw reader.failure(
      .unknownTensorType, at: start, field, expected: "a known ggml type", found: "\(id)",
      advice: "the file is damaged or newer than this program")
  }

  /// Places all tensors relative to the file, once the data section's start is known, and checks
  /// that each lies inside the file and that none overlaps another. O(n log n).
  consuming func place(_ reader: HeaderReader, dataStart: UInt64) throws -> [GGUFTensor] {
    for index in tensors.indices {
      let tensor = tensors[index]
      let extent = TensorLayout.extent(
        start: dataStart, offset: tensor.offset, byteCount: tensor.byteCount)
      guard let extent, extent.upperBound <= reader.fileSize else {
        throw reader.failure(
          .tensorOutsideFile, at: offsetFields[index], field(index, "data"),
          expected:
            "\(tensor.byteCount) bytes at \(tensor.offset) of the data section at \(dataStart)",
          found: "a file of \(reader.fileSize) bytes", advice: "the file is cut short or damaged")
      }
      tensors[index].offset = extent.lowerBound
    }
    let order = tensors.indices.sorted {
      (tensors[$0].offset, $0) < (tensors[$1].offset, $1)
    }
    for (earlier, later) in zip(order, order.dropFirst()) {
      let end = tensors[earlier].offset + tensors[earlier].byteCount
      guard end <= tensors[later].offset else {
        throw reader.failure(
          .overlappingTensors, at: offsetFields[later], field(later, "data"),
          expected: "data at byte \(end) or later, after \(tensors[earlier].name.quotedForMessage)",
          found: "byte \(tensors[later].offset)")
      }
    }
    return tensors
  }

  private func field(_ index: Int, _ part: String) -> HeaderField {
    HeaderField(section: .tensor, index: index, name: tensors[index].name, part: part)
  }
}
