internal import FileIO
public import ExpertPack
internal import ExpertStore

extension MemoryPlan {
  /// Plans the model in `pack`, of which nothing but the tables has been read.
  /// - Parameters:
  ///   - pack: The opened pack.
  ///   - config: Its hyper-parameters.
  ///   - options: Budget, context, batch, threads and sessions.
  /// - Throws: ``ModelGraphError`` with all the numbers when fewer experts fit than a token uses.
  public init(pack: PackDirectory, config: ModelConfig, options: ModelOptions) throws {
    let source = ExpertSource(pack: pack, layerCount: config.layerCount)
    let headerBytes = pack.archives.reduce(0) { $0 + $1.bytes.count }
    try self.init(
      name: pack.path, config: config,
      demand: Demand(
        residentBytes: pack.residentByteCount,
        tableBytes: headerBytes + pack.checksums.byteCount,
        slotBytes: ExpertStore.slotBytes(of: source), expertCount: source.expertCount,
        processBytes: Self.processBytes(headerBytes: headerBytes)),
      options: options)
  }
}
