public import GGUF

extension Vocabulary {
  /// The vocabulary in a GGUF's metadata (`tokenizer.ggml.*`).
  ///
  /// Throws ``TokenizerError`` when the tokenizer is not byte-level BPE (`gpt2`), its pre-tokenizer
  /// is unknown or its parts contradict each other, and `GGUFError` when a key is missing or of the
  /// wrong type.
  public init(metadata: GGUFMetadata) throws {
    let model = try metadata.string("tokenizer.ggml.model")
    guard model == "gpt2" else {
      throw TokenizerError(
        .unsupported,
        "tokenizer.ggml.model is \(model.quotedForMessage), expected gpt2 (byte-level BPE)")
    }
    try self.init(
      tokens: metadata.strings("tokenizer.ggml.tokens"),
      types: metadata.optionalIntegers("tokenizer.ggml.token_type")?.map(Int32.init(clamping:)),
      merges: metadata.strings("tokenizer.ggml.merges"),
      preTokenizer: metadata.string("tokenizer.ggml.pre"),
      bosID: Self.id("tokenizer.ggml.bos_token_id", metadata),
      eosID: Self.id("tokenizer.ggml.eos_token_id", metadata),
      endIDs: ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"].compactMap {
        try Self.id($0, metadata)
      },
      addsBOS: metadata.optionalBool("tokenizer.ggml.add_bos_token"))
  }

  private static func id(_ key: String, _ metadata: GGUFMetadata) throws -> Int32? {
    try metadata.optionalInteger(key).map(Int32.init(clamping:))
  }
}
