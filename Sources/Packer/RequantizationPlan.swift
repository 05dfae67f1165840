internal import FileIO
public import GGUF
internal import Kernels
public import Quantizers
public import Recipes
public import Tensors

/// Which tensors of a model get other types by a list of rules. Pure: reads headers, and of an importance
/// matrix its table.
public struct RequantizationPlan: Sendable {
  /// A tensor that gets another type.
  public struct Change: Sendable {
    /// Name of the tensor.
    public let tensor: String
    /// Its type in the original.
    public let from: TensorType
    /// Its new type.
    public let to: TensorType
    /// Whether the importance matrix says what errors in its columns count.
    public let isWeighted: Bool
    /// Whether the original had lost precision before: it is neither F32, F16, BF16 nor Q8_0.
    public var isRepeated: Bool { ![.f32, .f16, .bf16, .q8_0].contains(from) }
  }

  /// Every tensor that changes, in source order.
  public let changes: [Change]
  /// Rules that no matrix of the model matches.
  public let unmatched: [TypeRule]
  let source: GGUFFile
  let rules: [TypeRule]
  let importance: ImportanceMatrix?

  /// Plans the change of `source`.
  /// - Parameters:
  ///   - source: The original.
  ///   - rules: The first that matches a tensor gives its type. Vectors keep theirs.
  ///   - importance: What errors in which columns count; nil for all the same.
  /// - Throws: ``RequantizationError`` for a type that cannot be made, or not from what a tensor has;
  ///   `QuantizerError` for an importance matrix of another shape.
  public init(source: GGUFFile, rules: [TypeRule], importance: ImportanceMatrix?) throws {
    var matched = Set<TypeRule>()
    var changes: [Change] = []
    for tensor in source.tensors {
      guard let rule = TypeRule.first(of: rules, for: tensor) else { continue }
      matched.insert(rule)
      guard tensor.type != rule.type else { continue }
      try Self.check(tensor, becomes: rule, path: source.shards[tensor.shard].path)
      changes.append(
        Change(
          tensor: tensor.name, from: tensor.type, to: rule.type,
          isWeighted: try importance?.covers(tensor) ?? false))
    }
    self.changes = changes
    unmatched = rules.filter { !matched.contains($0) }
    self.source = source
    self.rules = rules
    self.importance = importance
  }

  /// What rules can call the matrices of `source`, in source order: `token_embd`, `ffn_down_exps`.
  public static func names(in source: GGUFFile) -> [String] {
    var seen = Set<String>()
    return source.tensors.lazy.filter { $0.elementCount > $0.dimensions[0] }
      .map { TypeRule.role(ofTensor: $0.name) }.filter { seen.insert($0).inserted }
  }

  private static func check(_ tensor: GGUFTensor, becomes rule: TypeRule, path: String) throws {
    func refusal(_ message: String) -> RequantizationError {
      RequantizationError(
        "\(path): tensor \(tensor.name.quotedForMessage): \(message) (rule \(rule.text))")
    }
    guard Quantizer.types.contains(rule.type) else {
      throw refusal(
        "cannot become \(rule.type); expected one of "
          + Quantizer.types.map(\.name).joined(separator: ", "))
    }
    let integers: [TensorType] = [.i8, .i16, .i32, .i64]
    guard KernelSet(.scalar).supports(tensor.type), !integers.contains(tensor.type) else {
      throw refusal("is \(tensor.type), which holds no weights that this program can decode")
    }
    guard tensor.dimensions[0] % UInt64(rule.type.blockSize) == 0 else {
      throw refusal(
        "expected rows in blocks of \(rule.type.blockSize) weights for \(rule.type), found rows of "
          + "\(tensor.dimensions[0]); give it a type of blocks of 32, or leave it as it is")
    }
  }
}
