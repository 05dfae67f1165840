internal import GGUF

extension RecipeShape {
  /// The metadata that llama.cpp's converter writes for this shape, then the tokenizer.
  func metadata(layers: Int, seed: UInt64, tokenizer: SyntheticVocabulary) -> GGUFMetadata {
    var result = GGUFMetadata()
    func set(_ key: String, _ value: GGUFValue) { result.set(value, for: key) }
    func count(_ key: String, _ value: Int) {
      set("\(architecture).\(key)", .uint32(UInt32(value)))
    }
    func number(_ key: String, _ value: Double) {
      set("\(architecture).\(key)", .float32(Float(value)))
    }
    set("general.architecture", .string(GGUFString(architecture)))
    set("general.type", .string("model"))
    set("general.name", .string(GGUFString(name)))
    set(
      "general.description",
      .string(GGUFString("random weights of the model's shape, moepack synth, seed \(seed)")))
    count("block_count", layers)
    count("context_length", contextLength)
    count("embedding_length", embeddingLength)
    count("attention.head_count", attention.headCount)
    count("attention.head_count_kv", attention.keyValueHeadCount)
    set(
      "\(architecture).rope.dimension_sections",
      .array(GGUFArray(int32: attention.ropeSections.map(Int32.init))))
    number("rope.freq_base", attention.ropeBase)
    number("attention.layer_norm_rms_epsilon", attention.rmsEpsilon)
    count("expert_count", experts.count)
    count("expert_used_count", experts.usedCount)
    count("attention.key_length", attention.keyLength)
    count("attention.value_length", attention.keyLength)
    count("expert_feed_forward_length", experts.intermediateLength)
    count("expert_shared_feed_forward_length", experts.sharedIntermediateLength)
    count("ssm.conv_kernel", deltaNet.convolutionWidth)
    count("ssm.state_size", deltaNet.headLength)
    count("ssm.group_count", deltaNet.keyHeadCount)
    count("ssm.time_step_rank", deltaNet.valueHeadCount)
    count("ssm.inner_size", deltaNet.valueLength)
    set(
      "\(architecture).attention.recurrent_layers",
      .array(GGUFArray(of: .bool, (0..<layers).map { .bool(!isFullAttention(layer: $0)) })))
    count("full_attention_interval", fullAttentionInterval)
    count("rope.dimension_count", attention.rotatedLength)
    for entry in tokenizer.entries { result.set(entry.value, for: entry.key) }
    set("general.quantization_version", .uint32(2))
    return result
  }
}
