/// Section `layout` of a recipe: how `convert` writes the pack.
public struct RecipeLayout: Sendable, Hashable {
  /// Whether the pack only indexes the source: `convert --in-place`.
  public let isInPlace: Bool

  /// The layout where a recipe says nothing: a packed one.
  init() { isInPlace = false }

  init(_ node: RecipeNode) throws(RecipeError) {
    let fields = try node.mapping(["kind"])
    isInPlace = try fields["kind"].word(among: ["packed", "in_place"]) == "in_place"
  }
}

/// Section `defaults` of a recipe: how the model is best run, to be given to `moerun` as flags.
public struct RecipeDefaults: Sendable, Hashable {
  /// Reads at once: `--io-threads`.
  public let ioThreads: Int?
  /// Reads that an expert is cut into: `--io-split`.
  public let ioSplit: Int?
  /// Which expert makes room: `--cache-policy`.
  public let cachePolicy: String?
  /// How the model's makers sample.
  public let sampling: Sampling?

  /// How a token is chosen; nil where the makers leave it open.
  public struct Sampling: Sendable, Hashable {
    /// `--temperature`.
    public let temperature: Double?
    /// `--top-k`, 0 for all.
    public let topK: Int?
    /// `--top-p`.
    public let topP: Double?
    /// `--min-p`.
    public let minP: Double?

    /// As flags of `moerun generate`.
    public var flags: String {
      [
        temperature.map { "--temperature \($0)" }, topK.map { "--top-k \($0)" },
        topP.map { "--top-p \($0)" }, minP.map { "--min-p \($0)" },
      ].compactMap { $0 }.joined(separator: " ")
    }
  }

  init() { (ioThreads, ioSplit, cachePolicy, sampling) = (nil, nil, nil, nil) }

  init(_ node: RecipeNode) throws(RecipeError) {
    let keys = ["io_threads", "io_split", "cache_policy", "sampling"]
    let fields = try node.mapping(keys, optional: keys)
    ioThreads = try fields.optional("io_threads").map { node throws(RecipeError) in
      try node.integer(1...64)
    }
    ioSplit = try fields.optional("io_split").map { node throws(RecipeError) in
      guard let split = Int(try node.word(among: ["1", "2", "4", "8"])) else { return 4 }
      return split
    }
    cachePolicy = try fields.optional("cache_policy").map { node throws(RecipeError) in
      try node.word(among: ["auto", "crf", "lru"])
    }
    sampling = try fields.optional("sampling").map { node throws(RecipeError) in
      let keys = ["temperature", "top_k", "top_p", "min_p"]
      let fields = try node.mapping(keys, optional: keys)
      func share(_ key: String) throws(RecipeError) -> Double? {
        guard let node = fields.optional(key) else { return nil }
        return try node.number(0...1)
      }
      return Sampling(
        temperature: try fields.optional("temperature").map { node throws(RecipeError) in
          try node.number(0...10)
        },
        topK: try fields.optional("top_k").map { node throws(RecipeError) in
          try node.integer(0...(1 << 24))
        }, topP: try share("top_p"), minP: try share("min_p"))
    }
  }

  /// As flags of `moerun`, without those of sampling; empty where there are none.
  public var flags: String {
    [
      ioThreads.map { "--io-threads \($0)" }, ioSplit.map { "--io-split \($0)" },
      cachePolicy.map { "--cache-policy \($0)" },
    ].compactMap { $0 }.joined(separator: " ")
  }
}
