/// The names by which vocabularies mark the end of a turn, a message or a text.
///
/// Files name one end token in their metadata; chat models use several. The list is the one
/// llama.cpp goes by.
enum EndOfGeneration {
  private static let names: Set<String> = [
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|calls|>", "<|flush|>",
    "<|endoftext|>", "<|end_of_text|>", "<|eom_id|>", "<end_of_turn>", "<turn|>", "<eos>", "</s>",
    "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "[e~[", "<end_of_utterance>", "<|tool_response>",
    "<\u{FF5C}end\u{2581}of\u{2581}sentence\u{FF5C}>",
    // Fill-in-the-middle: what separates files must not appear in an answer.
    "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>",
    "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
  ]

  /// The special tokens that end generation. A token of ordinary text never does, whatever its
  /// name: `</s>` is also HTML.
  static func ids(in tokens: [String], _ kinds: [Vocabulary.Kind]) -> Set<Int32> {
    var found: [String: Int32] = [:]
    for (id, token) in tokens.enumerated() where kinds[id].isLiteral && names.contains(token) {
      found[token] = Int32(id)
    }
    // In OpenAI's harmony format and in Solar's, `<|end|>` ends a message and the turn goes on.
    let isHarmony = found["<|return|>"] != nil && found["<|call|>"] != nil
    let isSolar = found["<|flush|>"] != nil && found["<|calls|>"] != nil
    if isHarmony || isSolar { found["<|end|>"] = nil }
    return Set(found.values)
  }
}
