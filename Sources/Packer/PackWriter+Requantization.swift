internal import ExpertPack

extension PackWriter {
  /// Lays out a model whose types are changed while it is packed, by `threads` threads; throws when the result
  /// cannot be packed.
  public init(requantization: Requantization, threads: Int) throws {
    try self.init(
      source: requantization.result, generated: requantization.shards, kind: .packed,
      threads: threads)
  }
}
