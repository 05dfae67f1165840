public import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
internal import GGUF

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
    /// Start of the random numbers.
    public var seed: UInt64

    /// Options; by default the shape as it is, and seed 0.
    public init(layers: Int? = nil, vocabulary: Int? = nil, seed: UInt64 = 0) {
      self.layers = layers
      self.vocabulary = vocabulary
      self.seed = seed
    }
  }

  /// Layers that are written.
  public let layerCount: Int
  /// Tokens of the vocabulary.
  public let vocabularySize: Int
  private let layout: GGUFWriter.Layout
  private let file: SyntheticFile

  /// Bytes that a thread makes before it writes them.
  private static let pieceBytes = 8 << 20

  /// Lays a checkpoint out.
  /// - Parameters:
  ///   - recipe: Gives the shape.
  ///   - options: What differs from it.
  ///   - tokenizer: Path of a GGUF or pack whose tokenizer is taken; nil for the recipe's.
  /// - Throws: ``SynthesisError`` for options out of range; what opening the tokenizer throws.
  public init(recipe: Recipe, options: Options, tokenizer: String? = nil) throws {
    let shape = recipe.shape
    func inRange(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws -> Int {
      guard range.contains(value) else {
        throw SynthesisError(
          "\(name): expected \(range.lowerBound) to \(range.upperBound), found \(value)")
      }
      return value
    }
    layerCount = try inRange(
      "layers", options.layers ?? shape.blockCount, RecipeShape.Limit.layers)
    vocabularySize = try inRange(
      "vocabulary", options.vocabulary ?? shape.vocabularySize, RecipeShape.Limit.vocabulary)
    let path = tokenizer ?? recipe.tokenizerPath
    let vocabulary = try SyntheticVocabulary(
      try Self.metadata(ofModel: path), size: vocabularySize, path: path)
    let tensors = shape.tensors(layers: layerCount, vocabulary: vocabularySize)
    var writer = GGUFWriter(
      metadata: shape.metadata(layers: layerCount, seed: options.seed, tokenizer: vocabulary))
    for tensor in tensors {
      writer.add(tensor.name, type: tensor.type, dimensions: tensor.dimensions)
    }
    layout = try writer.layout(path: recipe.path)
    file = SyntheticFile(layout: layout, tensors: tensors, seed: options.seed)
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
