public import GGUF
public import Tensors

/// Section `shape` of a recipe: hyper-parameters and tensor types of a model.
///
/// Keys are those of the GGUF's metadata without the architecture before them. Which there are, what
/// must hold between them and what tensors follow is data of the architecture: ``architectures``.
public struct ModelShape: Sendable {
  /// `general.architecture`, one of ``architectures``.
  public var architecture: String { family.architecture }
  /// The model's name.
  public let name: String
  /// GGUF or pack with a tokenizer, relative to the recipe.
  public let tokenizer: String
  /// The type of every role that the architecture's tensors have.
  public let types: [TensorRole: TensorType]
  private let family: ModelFamily
  private var values: [String: ShapeValue]

  /// The architectures that a shape can describe.
  public static let architectures = ModelFamily.all.map(\.architecture)

  /// Decoder layers, those that predict further tokens included.
  public var blockCount: Int { count("block_count") ?? 0 }
  /// Tokens of the embedding and of the head.
  public var vocabularySize: Int { count("vocabulary_size") ?? 0 }
  /// Routed experts of a layer.
  public var expertCount: Int { count("expert_count") ?? 0 }
  /// Routed experts that a token uses, the router's top-k.
  public var expertUsedCount: Int { count("expert_used_count") ?? 0 }
  /// Layers at the start that have no experts.
  var leadingDenseCount: Int { count("leading_dense_block_count") ?? 0 }
  /// Layers at the end that predict tokens after the next.
  var predictingCount: Int { count("nextn_predict_layers") ?? 0 }

  /// The value of a key that is a number of things; nil where the shape has none.
  public func count(_ key: String) -> Int? {
    guard case .count(let value) = self[key] else { return nil }
    return value
  }

  /// The value of a key; nil for an optional one that is absent.
  subscript(key: String) -> ShapeValue? { values[key] }

  func type(of role: TensorRole) -> TensorType {
    guard let type = types[role] else {
      preconditionFailure("\(role) has a type since it was read")
    }
    return type
  }

  /// Whether layer `index` is full attention; the others are gated delta nets.
  func isFullAttention(_ index: Int) -> Bool {
    (index + 1).isMultiple(of: max(count("full_attention_interval") ?? 1, 1))
  }

  init(
    family: ModelFamily, name: String, tokenizer: String, values: [String: ShapeValue],
    types: [TensorRole: TensorType]
  ) {
    self.family = family
    self.name = name
    self.tokenizer = tokenizer
    self.values = values
    self.types = types
  }

  /// The same model with other numbers of layers, tokens and experts; nil leaves one as it is.
  ///
  /// What depends on them follows: no more experts are used than there are, leading dense layers leave
  /// one with experts, the layers that predict further tokens go with the others at the end, groups
  /// of experts that no longer divide them become one.
  public func resized(
    layers: Int? = nil, vocabulary: Int? = nil, experts: Int? = nil
  ) -> ModelShape {
    var copy = self
    func set(_ key: String, _ value: Int) { copy.values[key] = .count(value) }
    if let layers, layers != blockCount {
      set("block_count", layers)
      if values["leading_dense_block_count"] != nil {
        set("leading_dense_block_count", min(leadingDenseCount, layers - 1))
      }
      if values["nextn_predict_layers"] != nil { set("nextn_predict_layers", 0) }
    }
    if let vocabulary { set("vocabulary_size", vocabulary) }
    if let experts {
      set("expert_count", experts)
      set("expert_used_count", min(expertUsedCount, experts))
      if let groups = count("expert_group_count"), !experts.isMultiple(of: groups) {
        set("expert_group_count", 1)
        set("expert_group_used_count", 1)
      }
    }
    return copy
  }

  /// The tensors of the checkpoint in the order of llama.cpp's quantizer: those outside of blocks, then
  /// block by block, by name.
  public var tensors: [ModelTensor] {
    var result = family.tensors.filter { $0.place == .model }.map { $0.tensor(name: $0.name, self) }
    for block in 0..<blockCount {
      let tensors = family.tensors.filter { $0.place.holds(self, block: block) }.map {
        $0.tensor(name: "blk.\(block).\($0.name)", self)
      }
      result += tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }
    return result
  }

  /// The hyper-parameters as llama.cpp's converter writes them, key by key.
  public var metadata: [(key: String, value: GGUFValue)] {
    family.keys.compactMap { key in
      var value = values[key.name]
      if case .derived(let derive) = key.kind { value = derive(self) }
      guard let value, let name = key.written else { return nil }
      return ("\(architecture).\(name)", GGUFValue(value))
    }
  }
}

extension ModelShape {
  /// A header of such a checkpoint, without a tokenizer and without data, for figures.
  /// - Throws: `GGUFError` for sizes beyond what a file can have.
  public func source(path: String) throws -> GGUFFile {
    var writer = GGUFWriter()
    writer.metadata.set(.string(GGUFString(architecture)), for: "general.architecture")
    writer.metadata.set(.string(GGUFString(name)), for: "general.name")
    for entry in metadata { writer.metadata.set(entry.value, for: entry.key) }
    for tensor in tensors {
      writer.add(tensor.name, type: tensor.type, dimensions: tensor.dimensions)
    }
    let layout = try writer.layout(path: path)
    return try GGUFFile(
      shards: [GGUFShard(path: path, fileSize: layout.fileSize, header: layout.header)])
  }
}

extension GGUFValue {
  fileprivate init(_ value: ShapeValue) {
    switch value {
    case .count(let count): self = .uint32(UInt32(count))
    case .number(let number): self = .float32(Float(number))
    case .flag(let flag): self = .bool(flag)
    case .text(let text): self = .string(GGUFString(text))
    case .counts(let counts): self = .array(GGUFArray(int32: counts.map(Int32.init)))
    case .flags(let flags):
      self = .array(GGUFArray(of: .bool, flags.map { .bool($0) }))
    }
  }
}
