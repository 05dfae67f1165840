internal import ExpertPack
internal import FileIO
public import GGUF
internal import Quantizers
internal import Recipes
internal import Synchronization
internal import Tensors

/// A model with other types for some of its tensors: a GGUF that exists only as the original and a plan,
/// whose bytes are encoded when they are read.
///
/// The same original, rules and importance matrix give the same bytes on every machine, whatever is read in
/// which order and by how many threads, so that it is packed, verified and exported like any source.
public struct Requantization: Sendable {
  /// Every tensor that changes, in source order.
  public let changes: [RequantizationPlan.Change]
  /// The model as it becomes: headers that no file has.
  public let result: GGUFFile
  let shards: [RequantizedShard]

  /// Bytes that the digests of the original take as progress.
  public static func progressBytes(_ plan: RequantizationPlan) -> UInt64 {
    plan.source.shards.reduce(0) { $0 + $1.fileSize }
  }

  /// Makes the model of `plan`, whose header says where it comes from.
  /// - Parameters:
  ///   - plan: What changes; the files of its source are read whenever bytes are asked for.
  ///   - threads: At most so many threads encode at once.
  ///   - progress: Reports the bytes of the original as they are read for their digests, all of them once.
  /// - Throws: `FileIOError`; `PackError` when somebody writes to the original meanwhile; `GGUFError` when the new header is none that can be read.
  public init(
    _ plan: RequantizationPlan, threads: Int, progress: @escaping PackProgress = { _ in }
  ) throws {
    let before = try plan.source.shards.map { try File.reading($0.path).modified }
    let origin = try Self.origin(of: plan, threads: threads, progress)
    try self.init(plan, threads: threads, origin: origin)
    for (index, shard) in shards.enumerated() where shard.modified != before[index] {
      throw PackError(
        .wrongSource, path: plan.source.shards[index].path,
        "was written to while it was read; start again when the file is complete")
    }
  }

  /// Makes the model of `plan` with a header that says `origin`, true or not.
  init(_ plan: RequantizationPlan, threads: Int, origin: TypeChange) throws {
    changes = plan.changes
    let types = Dictionary(uniqueKeysWithValues: plan.changes.map { ($0.tensor, $0.to) })
    let crew = EncodingCrew(threads: threads)
    var shards: [RequantizedShard] = []
    var headers: [GGUFShard] = []
    for (index, shard) in plan.source.shards.enumerated() {
      let layout = try Self.layout(of: shard, index: index, types: types, origin: origin)
      headers.append(
        GGUFShard(path: shard.path, fileSize: layout.fileSize, header: layout.header))
      shards.append(
        try RequantizedShard(
          original: shard, layout: layout, importance: plan.importance, crew: crew))
    }
    self.shards = shards
    result = try GGUFFile(shards: headers)
  }

  /// The header of a shard with the new types. `general.file_type` goes: it names one type for the whole
  /// file, and readers that find none look at the tensors.
  private static func layout(
    of shard: GGUFShard, index: Int, types: [String: TensorType], origin: TypeChange
  ) throws -> GGUFWriter.Layout {
    var metadata = shard.header.metadata
    if index == 0 {
      metadata.remove("general.file_type")
      metadata.set(.uint32(2), for: "general.quantization_version")
      origin.write(to: &metadata)
    }
    var writer = GGUFWriter(metadata: metadata)
    for tensor in shard.header.tensors {
      writer.add(
        tensor.name, type: types[tensor.name] ?? tensor.type, dimensions: tensor.dimensions)
    }
    return try writer.layout(path: shard.path, shard: index)
  }

  private static func origin(
    of plan: RequantizationPlan, threads: Int, _ progress: @escaping PackProgress
  ) throws -> TypeChange {
    let source = plan.source
    let origins = Mutex<[Int: TypeChange.Origin]>([:])
    try ParallelWork.forEach(source.shards.count, threads: threads) { index in
      let shard = source.shards[index]
      let origin = try digest(shard.path, byteCount: shard.fileSize, progress)
      origins.withLock { $0[index] = origin }
    }
    return TypeChange(
      sources: origins.withLock { found in found.sorted { $0.key < $1.key }.map(\.value) },
      rules: plan.rules.map(\.text),
      importanceMatrix: try plan.importance.map { try digest($0.path, byteCount: nil) { _ in } })
  }

  /// What a manifest says of the importance matrix at `path`.
  static func digest(
    _ path: String, byteCount: UInt64?, _ progress: PackProgress
  ) throws -> TypeChange.Origin {
    let file = try File.reading(path)
    let count = try byteCount ?? file.size()
    let digest = try SourceDigests.digest(
      of: file, byteCount: count, buffer: try AlignedBuffer(count: 4 << 20), progress: progress)
    return .init(
      name: PackTarget(path: "").lastComponent(of: path), bytes: count,
      xxh3_128: digest.description)
  }
}
