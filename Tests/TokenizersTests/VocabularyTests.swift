import GGUF
import Testing
import Tokenizers

@Suite struct VocabularyTests {
  @Test("tokens have their bytes, text and kind")
  func tokens() throws {
    let vocabulary = try Vocabulary(
      tokens: ["\u{120}t", "<|im_end|>", "<think>", "[PAD]", "é", "not byte level"],
      types: [1, 3, 4, 5, 1, 1], merges: [], preTokenizer: "qwen35")
    #expect(vocabulary.tokenCount == 6)
    #expect(vocabulary.text(of: 0) == " t")
    #expect(vocabulary.text(of: 1) == "<|im_end|>")
    #expect(vocabulary.kind(of: 2) == .userDefined)
    #expect(vocabulary.kind(of: 3) == .unused)
    #expect(vocabulary.isControl(1))
    #expect(Array(vocabulary.bytes(of: 4)) == [0xE9])
    #expect(vocabulary.text(of: 5) == "not byte level")
  }

  @Test("generation ends at the file's end token and at every special one known by name")
  func endOfGeneration() throws {
    let tiny = try Fixture.vocabulary("tiny", preTokenizer: "qwen35")
    #expect(tiny.endOfGenerationIDs == [8189, 8191])
    let named = try Vocabulary(
      tokens: ["a", "</s>", "<|im_end|>", "<|eot_id|>", "x"], types: [1, 1, 3, 4, 3], merges: [],
      preTokenizer: "qwen35", eosID: 0, endIDs: [4])
    // `</s>` is ordinary text here.
    #expect(named.endOfGenerationIDs == [0, 2, 3, 4])
  }

  @Test("in the harmony format a message's end does not end generation")
  func harmony() throws {
    let vocabulary = try Vocabulary(
      tokens: ["<|end|>", "<|return|>", "<|call|>"], types: [3, 3, 3], merges: [],
      preTokenizer: "gpt-4o")
    #expect(vocabulary.endOfGenerationIDs == [1, 2])
  }

  @Test("merges about tokens that do not exist, and repeated ones, change nothing")
  func uselessMerges() throws {
    let vocabulary = try Vocabulary(
      tokens: byteTokens + ["ab"], types: nil,
      merges: ["x y", "zz a", "a zz", "\u{4E00} a", "a b", "b a", "a b", "  "],
      preTokenizer: "qwen35")
    #expect(try Tokenizer(vocabulary: vocabulary).encode("abba") == [256, 98, 97])
  }

  @Test(
    "contradictions are refused",
    arguments: [
      ([], nil, [], nil, "has 0 tokens"),
      (["a", "b", "a"], nil, [], nil, "tokens 0 and 2 are both 'a', expected every token once"),
      (["<s>", "<s>"], [3, 3], [], nil, "tokens 0 and 1 are both '<s>'"),
      (["a"], [1, 1], [], nil, "1 tokens and 2 token types"),
      (["a"], [9], [], nil, "the type of token 0 is 9, expected 0 to 6"),
      (["a"], nil, ["aa"], nil, "merge 0 is 'aa', expected two tokens separated by a space"),
      (["a"], nil, [""], nil, "merge 0 is '', expected two tokens"),
      (["a"], nil, [" a"], nil, "merge 0 is ' a', expected two tokens"),
      (["a"], nil, [], 1, "the EOS token id is 1, expected an id below the 1 tokens"),
      (["a"], nil, [], -1, "the EOS token id is -1"),
    ] as [([String], [Int32]?, [String], Int32?, String)])
  func contradictions(
    _ tokens: [String], types: [Int32]?, merges: [String], eosID: Int32?, message: String
  ) throws {
    let error = #expect(throws: TokenizerError.self) {
      try Vocabulary(
        tokens: tokens, types: types, merges: merges, preTokenizer: "qwen2", eosID: eosID)
    }
    #expect(error?.code == .invalidVocabulary)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }

  @Test("empty tokens may repeat")
  func emptyTokens() throws {
    let vocabulary = try Vocabulary(
      tokens: ["", "a", ""], types: nil, merges: [], preTokenizer: "qwen2")
    #expect(try Tokenizer(vocabulary: vocabulary).encode("a") == [1])
    #expect(vocabulary.bytes(of: 0).isEmpty)
  }

  @Test("a vocabulary is read from a file's metadata")
  func metadata() throws {
    let vocabulary = try Vocabulary(metadata: sampleMetadata())
    #expect(vocabulary.tokenCount == 259)
    #expect(vocabulary.bosID == 258)
    #expect(vocabulary.eosID == 257)
    #expect(vocabulary.addsBOS)
    #expect(vocabulary.preTokenizer.names == ["qwen35"])
    #expect(try Tokenizer(vocabulary: vocabulary).encode("ab<e>") == [258, 256, 257])
  }

  @Test("BOS is the pre-tokenizer's habit where the file does not say, and needs a token")
  func defaultBOS() throws {
    var metadata = sampleMetadata()
    metadata.remove("tokenizer.ggml.add_bos_token")
    #expect(try !Vocabulary(metadata: metadata).addsBOS)
    metadata.set(.string("llama-bpe"), for: "tokenizer.ggml.pre")
    #expect(try Vocabulary(metadata: metadata).addsBOS)
    metadata.remove("tokenizer.ggml.bos_token_id")
    #expect(try !Vocabulary(metadata: metadata).addsBOS)
    metadata.set(.bool(true), for: "tokenizer.ggml.add_bos_token")
    #expect(throws: TokenizerError.self) { try Vocabulary(metadata: metadata) }
  }

  @Test("metadata that is missing, of another tokenizer or out of range is refused")
  func badMetadata() throws {
    for key in ["model", "pre", "tokens", "merges"] {
      var metadata = sampleMetadata()
      metadata.remove("tokenizer.ggml.\(key)")
      #expect(throws: GGUFError.self) { try Vocabulary(metadata: metadata) }
    }
    var other = sampleMetadata()
    other.set(.string("llama"), for: "tokenizer.ggml.model")
    let error = #expect(throws: TokenizerError.self) { try Vocabulary(metadata: other) }
    #expect(error?.message == "tokenizer.ggml.model is 'llama', expected gpt2 (byte-level BPE)")
    var id = sampleMetadata()
    id.set(.uint32(.max), for: "tokenizer.ggml.eos_token_id")
    #expect(throws: TokenizerError.self) { try Vocabulary(metadata: id) }
  }

  private func sampleMetadata() -> GGUFMetadata {
    var metadata = GGUFMetadata()
    metadata.set(.string("gpt2"), for: "tokenizer.ggml.model")
    metadata.set(.string("qwen35"), for: "tokenizer.ggml.pre")
    metadata.set(
      .array(GGUFArray(strings: byteTokens + ["ab", "<e>", "<s>"])), for: "tokenizer.ggml.tokens")
    metadata.set(
      .array(GGUFArray(int32: [Int32](repeating: 1, count: 257) + [3, 3])),
      for: "tokenizer.ggml.token_type")
    metadata.set(.array(GGUFArray(strings: ["a b"])), for: "tokenizer.ggml.merges")
    metadata.set(.uint32(257), for: "tokenizer.ggml.eos_token_id")
    metadata.set(.uint32(258), for: "tokenizer.ggml.bos_token_id")
    metadata.set(.bool(true), for: "tokenizer.ggml.add_bos_token")
    return metadata
  }
}
