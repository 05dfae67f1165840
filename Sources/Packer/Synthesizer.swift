public import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
internal import GGUF
public import Recipes

/// Writes a checkpoint of a recipe's shape with random weights, as a GGUF or as a pack of it.
///
/// The weights are valid blocks of their types, sized so that activations stay near unit variance
/// and logits are finite; the text they give means nothing. The same recipe, tokenizer and options
/// give the same bytes, whatever the number of threads.
public struct Synthesizer: Sendable {
  /// What may differ from the recipe.
  public struct Options: Sendable {
    /// Layers to write; nil for those of the shape.
    public var layers: Int?
    /// Tokens; nil for those of the shape.
    public var vocabulary: Int?
    /// Experts of a layer; nil for those of the shape.
    public var experts: Int?
    /// Start of the random numbers.
    public var seed: UInt64

    /// Options; by default the shape as it is, and seed 0.
    public init(
      layers: Int? = nil, vocabulary: Int? = nil, experts: Int? = nil, seed: UInt64 = 0
    ) {
      self.layers = layers
      self.vocabulary = vocabulary
      self.experts = experts
      self.seed = seed
    }
  }

  /// The shape that is written.
  public let shape: ModelShape
  /// Layers that are written.
  public var layerCount: Int { shape.blockCount }
  /// Tokens of the vocabulary.
  public var vocabularySize: Int { shape.vocabularySize }
  private let layout: GGUFWriter.Layout
  private let file: SyntheticFile

  /// Bytes that a thread makes before it writes them.
  private static let pieceBytes = 8 << 20

  /// Lays a checkpoint out.
  /// - Parameters:
  ///   - recipe: Gives the shape.
  ///   - options: What differs from it.
  ///   - tokenizer: Path of a GGUF or pack whose tokenizer is taken; nil for the recipe's.
  /// - Throws: ``SynthesisError`` for options out of range; `RecipeError` for a recipe without a shape;
  ///   what opening the tokenizer throws.
  public init(recipe: Recipe, options: Options, tokenizer: String? = nil) throws {
    let whole = try recipe.requiredShape()
    func check(_ name: String, _ value: Int?, _ range: ClosedRange<Int>) throws {
      guard let value, !range.contains(value) else { return }
      throw SynthesisError(
        "\(name): expected \(range.lowerBound) to \(range.upperBound), found \(value)")
    }
    try check("layers", options.layers, 1...Self.layerLimit)
    try check("vocabulary", options.vocabulary, 1...Self.vocabularyLimit)
    try check("experts", options.experts, 1...Self.expertLimit)
    shape = whole.resized(
      layers: options.layers, vocabulary: options.vocabulary, experts: options.experts)
    let path = tokenizer ?? recipe.tokenizerPath ?? whole.tokenizer
    let vocabulary = try SyntheticVocabulary(
      try Self.metadata(ofModel: path), size: shape.vocabularySize, path: path)
    let tensors = shape.tensors
    var writer = GGUFWriter(
      metadata: Self.metadata(of: shape, seed: options.seed, tokenizer: vocabulary))
    for tensor in tensors {
      writer.add(tensor.name, type: tensor.type, dimensions: tensor.dimensions)
    }
    layout = try writer.layout(path: recipe.path)
    file = SyntheticFile(layout: layout, tensors: tensors, seed: options.seed)
  }

  /// Layers that a file may be asked for.
  public static let layerLimit = 1024
  /// Tokens that a file may be asked for.
  public static let vocabularyLimit = 1 << 24
  /// Experts a layer that a file may be asked for.
  public static let expertLimit = 1 << 16

  /// The metadata that llama.cpp's converter writes for `shape`, then the tokenizer.
  private static func metadata(
    of shape: ModelShape, seed: UInt64, tokenizer: SyntheticVocabulary
  ) -> GGUFMetadata {
    var result = GGUFMetadata()
    result.set(.string(GGUFString(shape.architecture)), for: "general.architecture")
    result.set(.string("model"), for: "general.type")
    result.set(.string(GGUFString(shape.name)), for: "general.name")
    result.set(
      .string(GGUFString("random weights of the model's shape, moepack synth, seed \(seed)")),
      for: "general.description")
    for entry in shape.metadata { result.set(entry.value, for: entry.key) }
    for entry in tokenizer.entries { result.set(entry.value, for: entry.key) }
    result.set(.uint32(2), for: "general.quantization_version")
    return result
  }

  private static func metadata(ofModel path: String) throws -> GGUFMetadata {
    FileManager.default.fileExists(atPath: path + "/" + PackManifest.fileName)
      ? try PackDirectory(contentsOf: path).source.metadata : try GGUFFile.open(path).metadata
  }

  /// Bytes of the GGUF, and what either way of writing reports as progress in all.
  public var byteCount: UInt64 { layout.fileSize }

  /// Writes the GGUF to `path`: beside it first, then flushed and renamed.
  /// - Throws: `FileIOError`, also for an existing file without `overwrite`. What was written so
  ///   far is removed.
  public func writeGGUF(
    to path: String, overwrite: Bool, threads: Int, progress: @escaping PackProgress
  ) throws {
    guard !Directory.exists(path) else {
      throw FileIOError(
        .alreadyExists, path: path, message: "is a directory; expected the name of a file")
    }
    guard overwrite || !FileManager.default.fileExists(atPath: path) else {
      throw FileIOError(
        .alreadyExists, path: path, message: "exists; give --overwrite to replace it")
    }
    let partial = path + ".partial"
    let target = try File.creatingAlone(partial, direct: true)
    do {
      try target.resize(to: file.byteCount)
      try write(to: target, threads: threads, progress: progress)
      // Direct writes are whole pages: what the last one has too much goes.
      try target.resize(to: file.byteCount)
      try target.synchronize()
      try AtomicFile.rename(partial, to: path)
    } catch {
      try? Directory.removeFile(partial)
      throw error
    }
  }

  /// Writes all pieces, the last one up to a whole page.
  private func write(
    to target: File, threads: Int, progress: @escaping PackProgress
  ) throws {
    let pieceBytes = Self.pieceBytes
    let pieces = Int((file.byteCount + UInt64(pieceBytes) - 1) / UInt64(pieceBytes))
    let buffers = BufferPool(byteCount: pieceBytes)
    try ParallelWork.forEach(pieces, threads: threads) { [file] piece in
      let start = UInt64(piece) * UInt64(pieceBytes)
      let count = Int(min(UInt64(pieceBytes), file.byteCount - start))
      try buffers.withBuffer { buffer in
        file.readExactly(into: buffer.bytes.part(0..<count), at: start)
        let page = ExpertPlacement.alignment
        let whole = (count + page - 1) / page * page
        try target.write(UnsafeRawBufferPointer(buffer.bytes.part(0..<whole)), at: start)
      }
      progress(UInt64(count))
    }
  }

  /// Writes the pack that converting the GGUF would give, without the GGUF: `NAME.moepack` as from
  /// `NAME.gguf`.
  /// - Returns: The finished manifest.
  @discardableResult
  public func writePack(
    to directory: String, overwrite: Bool, threads: Int, progress: @escaping PackProgress
  ) throws -> PackManifest {
    let writer = try PackWriter(
      source: try source(path: Self.sourcePath(ofPack: directory)), generated: [file],
      kind: .packed, threads: threads)
    return try writer.write(to: directory, overwrite: overwrite, progress: progress)
  }

  /// The pack that ``writePack(to:overwrite:threads:progress:)`` would write, in figures.
  public var plan: PackPlan {
    get throws { try PackPlan(source: try source(path: "synthetic.gguf")) }
  }

  private func source(path: String) throws -> GGUFFile {
    try GGUFFile(
      shards: [GGUFShard(path: path, fileSize: layout.fileSize, header: layout.header)])
  }

  private static func sourcePath(ofPack directory: String) -> String {
    var name = directory[...]
    while name.count > 1, name.hasSuffix("/") { name.removeLast() }
    if name.hasSuffix(".moepack") { name.removeLast(".moepack".count) }
    return name + ".gguf"
  }
}
