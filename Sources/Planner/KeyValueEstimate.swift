package import GGUF

/// What keys and values of an architecture take that the runtime does not know, from the metadata that
/// llama.cpp's converter writes for all of them.
///
/// Half precision, every layer with attention over the whole context: a sliding window keeps less.
package struct KeyValueEstimate {
  /// Bytes for one position in all layers.
  package let bytesPerPosition: Int
  /// Positions that the model was made for; nil where the metadata do not say.
  package let contextLength: Int?

  /// Far above any model, and low enough that no product wraps.
  private static let limit = 1 << 17
  private static let layerLimit = 1024
  private static let bytesPerElement = 2

  /// Reads hostile metadata: what is absent or cannot be counts as the usual or as nothing.
  package init(_ metadata: GGUFMetadata, architecture: String) {
    func count(_ key: String, atMost limit: Int = Self.limit) -> Int? {
      (try? metadata.optionalCount("\(architecture).\(key)", atMost: limit)) ?? nil
    }
    contextLength = count("context_length", atMost: 1 << 24)
    let heads = max(count("attention.head_count") ?? 1, 1)
    let length = count("attention.key_length") ?? (count("embedding_length") ?? 0) / heads
    let predicting = count("nextn_predict_layers", atMost: Self.layerLimit) ?? 0
    let blocks = max((count("block_count", atMost: Self.layerLimit) ?? 0) - predicting, 0)
    let interval = max(count("full_attention_interval", atMost: Self.layerLimit) ?? 1, 1)
    let elements: Int
    if let rank = count("attention.kv_lora_rank") {
      // Latent attention keeps one compressed vector and one rotated key for all heads.
      elements = rank + (count("rope.dimension_count") ?? 0)
    } else {
      let keyValueHeads = count("attention.head_count_kv") ?? heads
      elements = keyValueHeads * (length + (count("attention.value_length") ?? length))
    }
    bytesPerPosition = elements * (blocks / interval) * Self.bytesPerElement
  }
}
