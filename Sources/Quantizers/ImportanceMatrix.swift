internal import FileIO
public import GGUF
internal import Tensors

/// Sums of squared activations for every column of a model's matrices, in the GGUF form that llama.cpp's
/// `llama-imatrix` writes: `general.type` is `imatrix`, and a matrix `NAME` has `NAME.in_sum2`,
/// `[columns, experts]`, and `NAME.counts`, `[1, experts]`, the number of activations in each sum.
///
/// All numbers are read and checked when the file is opened; afterwards only what is asked for is read
/// again, so that the sums of 30,000 experts never lie in memory together. Any thread may ask.
public struct ImportanceMatrix: Sendable {
  private struct Entry: Sendable {
    let columns: Int
    let sums: GGUFTensor
    /// Activations counted, for every expert; one for a matrix without experts.
    let counts: [Float]
  }

  /// Path of the file as given.
  public let path: String
  private let file: File
  private let entries: [String: Entry]

  private static let sumsSuffix = ".in_sum2"
  private static let countsSuffix = ".counts"

  /// Columns of a matrix at most; the largest models have 53,248.
  private static let columnLimit: UInt64 = 1 << 20
  /// Experts of a matrix at most.
  private static let expertLimit: UInt64 = 1 << 16

  /// Opens and checks the importance matrix at `path`.
  /// - Throws: ``QuantizerError`` when it is another kind of file or its numbers cannot be; `GGUFError` and
  ///   `FileIOError` when it cannot be read.
  public init(contentsOf path: String) throws {
    self.path = path
    let model: GGUFFile
    do {
      model = try GGUFFile.open(path)
    } catch let error as GGUFError where error.code == .notGGUF {
      throw QuantizerError(
        .notAnImportanceMatrix,
        "\(path): expected an importance matrix in GGUF form, found another kind of file; convert one in the "
          + "older form with: llama-imatrix --in-file OLD.dat -o NEW.gguf")
    }
    let kind = try model.metadata.optionalString("general.type")
    guard kind == "imatrix", model.shards.count == 1 else {
      let found = kind.map { $0.quotedForMessage } ?? "none"
      throw QuantizerError(
        .notAnImportanceMatrix,
        "\(path): metadata key 'general.type': expected 'imatrix' in one file, found \(found); give the file "
          + "that llama-imatrix wrote")
    }
    file = try File.reading(path)
    var entries: [String: Entry] = [:]
    for tensor in model.tensors {
      if tensor.name.hasSuffix(Self.countsSuffix) {
        let name = String(tensor.name.dropLast(Self.countsSuffix.count))
        guard model.tensor(named: name + Self.sumsSuffix) != nil else {
          throw Self.invalid(
            path, tensor.name, "expected \(name + Self.sumsSuffix) beside it, found none")
        }
      }
      guard tensor.name.hasSuffix(Self.sumsSuffix) else { continue }
      let name = String(tensor.name.dropLast(Self.sumsSuffix.count))
      guard let counts = model.tensor(named: name + Self.countsSuffix) else {
        throw Self.invalid(
          path, tensor.name, "expected \(name + Self.countsSuffix) beside it, found none")
      }
      entries[name] = try Self.entry(sums: tensor, counts: counts, file: file)
    }
    guard !entries.isEmpty else {
      throw QuantizerError(
        .notAnImportanceMatrix,
        "\(path): expected tensors NAME.in_sum2 and NAME.counts, found none of them among "
          + "\(model.tensors.count); the matrix is empty")
    }
    self.entries = entries
  }

  /// Names of the matrices that have an entry.
  public var names: some Collection<String> { entries.keys }

  /// Number of matrices that have an entry.
  public var count: Int { entries.count }

  /// The weights of the columns of `tensor` for its matrix number `expert` (0 in a tensor of one matrix).
  /// - Returns: nil for a tensor without an entry and for an expert that no activation met: nothing is known
  ///   of them.
  /// - Throws: `.otherShape` when the entry has other columns or experts than the tensor; `FileIOError`.
  public func weights(of tensor: GGUFTensor, expert: Int) throws -> ColumnWeights? {
    guard let entry = try entry(for: tensor) else { return nil }
    let index = entry.counts.count == 1 ? 0 : expert
    precondition(index >= 0 && index < entry.counts.count, "no expert \(expert)")
    let count = entry.counts[index]
    guard count > 0 else { return nil }
    let sums = try Self.floats(
      file, at: entry.sums.offset + UInt64(index) * UInt64(entry.columns) * 4, count: entry.columns)
    // Read again, so checked again: the file may have changed.
    guard sums.allSatisfy({ $0 >= 0 && $0.isFinite }) else {
      throw Self.invalid(
        path, entry.sums.name, "holds numbers that it did not hold when it was opened")
    }
    return ColumnWeights(meanSquares: sums.map { min($0 / count, .greatestFiniteMagnitude) })
  }

  /// Whether something is known of the columns of `tensor`; for experts, of at least one of them.
  /// - Throws: `.otherShape` when the entry has other columns or experts than the tensor.
  public func covers(_ tensor: GGUFTensor) throws -> Bool {
    try entry(for: tensor)?.counts.contains { $0 > 0 } ?? false
  }

  /// The entry of `tensor`, of the shape that it must have.
  private func entry(for tensor: GGUFTensor) throws(QuantizerError) -> Entry? {
    guard let entry = entries[tensor.name] else { return nil }
    let experts = tensor.dimensions.dropFirst(2).reduce(1, *)
    // A sum over all experts serves each of them.
    guard entry.columns == tensor.dimensions[0],
      entry.counts.count == experts || entry.counts.count == 1
    else {
      throw QuantizerError(
        .otherShape,
        "\(path): \(tensor.name.quotedForMessage): expected \(tensor.dimensions[0]) columns and \(experts) "
          + "experts as in the model, found \(entry.columns) and \(entry.counts.count); the importance matrix "
          + "is another model's")
    }
    return entry
  }

  private static func entry(sums: GGUFTensor, counts: GGUFTensor, file: File) throws -> Entry {
    for tensor in [sums, counts] where tensor.type != .f32 {
      throw invalid(file.path, tensor.name, "expected type F32, found \(tensor.type)")
    }
    let columns = sums.dimensions[0]
    let experts = sums.elementCount / columns
    guard columns <= columnLimit, experts <= expertLimit else {
      throw invalid(
        file.path, sums.name,
        "expected at most \(columnLimit) columns and \(expertLimit) experts, found \(columns) and \(experts)"
      )
    }
    guard counts.elementCount == experts else {
      throw invalid(
        file.path, counts.name,
        "expected \(experts), as \(sums.name.quotedForMessage) has sums for so many experts, found "
          + "\(counts.elementCount)")
    }
    let counted = try floats(file, at: counts.offset, count: Int(experts))
    try check(counted, of: counts, first: 0, path: file.path)
    for expert in 0..<experts {
      let row = try floats(file, at: sums.offset + expert * columns * 4, count: Int(columns))
      try check(row, of: sums, first: Int(expert * columns), path: file.path)
    }
    return Entry(columns: Int(columns), sums: sums, counts: counted)
  }

  private static func check(_ values: [Float], of tensor: GGUFTensor, first: Int, path: String)
    throws
  {
    guard let bad = values.firstIndex(where: { !($0 >= 0 && $0.isFinite) }) else { return }
    throw invalid(
      path, tensor.name, "element \(first + bad): expected a number from 0, found \(values[bad])")
  }

  private static func floats(_ file: File, at offset: UInt64, count: Int) throws -> [Float] {
    try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      try file.readExactly(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
      initialized = count
    }
  }

  private static func invalid(_ path: String, _ name: String, _ message: String) -> QuantizerError {
    QuantizerError(.invalidImportance, "\(path): tensor \(name.quotedForMessage): \(message)")
  }
}
