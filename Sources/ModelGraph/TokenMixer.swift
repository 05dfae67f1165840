/// The part of a decoder layer in which tokens see each other.
protocol TokenMixer {
  /// Mixes `scratch.normed` of the chunk into `scratch.mixed`, and appends the chunk to the memory
  /// that the mixer keeps.
  func mix(_ run: Evaluation, cache: KVCache, state: RecurrentState)
}
