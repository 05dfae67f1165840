/// What a key of a shape holds.
enum ShapeValue: Sendable, Hashable {
  case count(Int)
  case number(Double)
  case flag(Bool)
  case text(String)
  case counts([Int])
  case flags([Bool])
}

/// A hyper-parameter of an architecture: a key of the GGUF's metadata without the architecture
/// before it, and of the recipe's section `shape`, where dots are levels.
struct ShapeKey: Sendable {
  enum Kind: Sendable {
    case count(ClosedRange<Int>)
    case positive(upTo: Double)
    case flag
    case text([String])
    case counts(Int, ClosedRange<Int>)
    /// Computed, so no key of a recipe.
    case derived(@Sendable (ModelShape) -> ShapeValue?)
  }

  /// `attention.head_count`.
  let name: String
  let kind: Kind
  /// Whether a recipe may leave it out.
  var isOptional = false
  /// The key that metadata have instead; nil where they have none.
  var written: String?

  private init(_ name: String, _ kind: Kind) {
    self.name = name
    self.kind = kind
    written = name
  }

  static func count(_ name: String, _ range: ClosedRange<Int>) -> ShapeKey {
    ShapeKey(name, .count(range))
  }
  static func positive(_ name: String, upTo limit: Double) -> ShapeKey {
    ShapeKey(name, .positive(upTo: limit))
  }
  static func flag(_ name: String) -> ShapeKey { ShapeKey(name, .flag) }
  static func text(_ name: String, among words: [String]) -> ShapeKey {
    ShapeKey(name, .text(words))
  }
  static func counts(_ name: String, _ count: Int, _ range: ClosedRange<Int>) -> ShapeKey {
    ShapeKey(name, .counts(count, range))
  }
  static func derived(
    _ name: String, _ value: @escaping @Sendable (ModelShape) -> ShapeValue?
  ) -> ShapeKey { ShapeKey(name, .derived(value)) }
  /// The same value as another key.
  static func derived(_ name: String, from other: String) -> ShapeKey {
    derived(name) { $0.count(other).map(ShapeValue.count) }
  }

  /// The same, but a recipe may leave it out.
  var optional: ShapeKey {
    var copy = self
    copy.isOptional = true
    return copy
  }

  /// The same, under another name in metadata; nil for not at all.
  func written(_ name: String?) -> ShapeKey {
    var copy = self
    copy.written = name
    return copy
  }
}

/// Ranges far above any model, and low enough that no product of a few wraps.
enum ShapeLimit {
  static let layers = 1...1024
  static let size = 1...(1 << 17)
  static let heads = 1...4096
  static let headSize = 1...4096
  static let experts = 1...65536
  static let expertsUsed = 1...1024
  static let vocabulary = 1...(1 << 24)
  static let context = 1...(1 << 24)
  static let ropeBase = 1e12
}

extension ShapeKey {
  static let blockCount = count("block_count", ShapeLimit.layers)
  static let contextLength = count("context_length", ShapeLimit.context)
  static let embeddingLength = count("embedding_length", ShapeLimit.size)
  static let feedForwardLength = count("feed_forward_length", ShapeLimit.size)
  static let headCount = count("attention.head_count", ShapeLimit.heads)
  static let keyValueHeadCount = count("attention.head_count_kv", ShapeLimit.heads)
  static let keyLength = count("attention.key_length", ShapeLimit.headSize)
  static let valueLength = derived("attention.value_length", from: "attention.key_length")
  static let epsilon = positive("attention.layer_norm_rms_epsilon", upTo: 0.1)
  static let ropeBase = positive("rope.freq_base", upTo: ShapeLimit.ropeBase)
  static let rotatedLength = count("rope.dimension_count", ShapeLimit.headSize)
  static let expertCount = count("expert_count", ShapeLimit.experts)
  static let expertUsedCount = count("expert_used_count", ShapeLimit.expertsUsed)
  static let expertInner = count("expert_feed_forward_length", ShapeLimit.size)
  static let sharedInner = count("expert_shared_feed_forward_length", ShapeLimit.size)
  /// Tokens of embedding and head. Most converters leave it to the tokenizer's list.
  static let vocabularySize = count("vocabulary_size", ShapeLimit.vocabulary).written(nil)
}
