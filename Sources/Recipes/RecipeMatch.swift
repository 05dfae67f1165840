public import GGUF

/// Section `match` of a recipe: the checkpoints that it is for.
public struct RecipeMatch: Sendable, Hashable {
  /// `general.architecture`.
  public let architecture: String
  /// Sizes: keys of the metadata without the architecture, and the values that will do.
  public let sizes: [Size]

  /// A size of a model.
  public struct Size: Sendable, Hashable {
    /// `block_count`.
    public let key: String
    /// Any of these.
    public let values: [Int]
  }

  /// Keys that a recipe may match by.
  static let keys = [
    "block_count", "embedding_length", "feed_forward_length", "expert_count", "expert_used_count",
    "expert_feed_forward_length",
  ]

  /// Reads the section, and checks it against the recipe's own shape.
  init(_ node: RecipeNode, shape: ModelShape?) throws(RecipeError) {
    let fields = try node.mapping(["architecture"] + Self.keys, optional: Self.keys)
    architecture = try fields["architecture"].text(atMost: 64)
    if let shape, shape.architecture != architecture {
      throw fields["architecture"].error(
        "expected \(shape.architecture) as in shape.architecture, found '\(architecture)'")
    }
    var sizes: [Size] = []
    for key in Self.keys {
      guard let value = fields.optional(key) else { continue }
      let nodes = value.isList ? try value.elements(atMost: 16) : [value]
      var values: [Int] = []
      for node in nodes { values.append(try node.integer(1...(1 << 24))) }
      if let own = shape?.count(key), !values.contains(own) {
        throw value.error("expected \(own) as in shape.\(key), found \(value.foundValue)")
      }
      sizes.append(Size(key: key, values: values))
    }
    self.sizes = sizes
  }

  /// Whether the checkpoint with `metadata` is one of these. Hostile values are as good as none.
  public func holds(_ metadata: GGUFMetadata) -> Bool {
    guard (try? metadata.optionalString("general.architecture")) == architecture else {
      return false
    }
    return sizes.allSatisfy { size in
      let found = (try? metadata.optionalUnsigned("\(architecture).\(size.key)")) ?? nil
      return found.flatMap { Int(exactly: $0) }.map(size.values.contains) ?? false
    }
  }

  /// What `metadata` that match have in common with the recipe, for people: `architecture qwen35moe,
  /// block_count 60`.
  public func reason(_ metadata: GGUFMetadata) -> String {
    (["architecture \(architecture)"]
      + sizes.map { size in
        let found = (try? metadata.optionalUnsigned("\(architecture).\(size.key)")) ?? nil
        return "\(size.key) \(found ?? 0)"
      }).joined(separator: ", ")
  }
}
