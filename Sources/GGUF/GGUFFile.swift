internal import FileIO

/// One file of a model.
public struct GGUFShard: Sendable {
  /// The file as the user named it, or as the split's names give it.
  public let path: String
  /// Length of the file in bytes.
  public let fileSize: UInt64
  /// The file's header, checked against ``fileSize``.
  public let header: GGUFHeader

  /// A shard whose header came from elsewhere than its file; its tensors carry the shard's index.
  public init(path: String, fileSize: UInt64, header: GGUFHeader) {
    self.path = path
    self.fileSize = fileSize
    self.header = header
  }

  /// Reads and checks the header of the file at `path`; of the rest nothing is read.
  static func read(_ path: String, index: Int) throws -> GGUFShard {
    let file = try File.reading(path)
    let fileSize = try file.size()
    let header = try unsafe GGUFHeader.parse(
      path: path, fileSize: fileSize, shard: index
    ) { buffer, offset in try unsafe file.read(into: buffer, at: offset) }
    return GGUFShard(path: path, fileSize: fileSize, header: header)
  }
}

/// A model in GGUF: one file, or all files of a split model.
public struct GGUFFile: Sendable {
  /// The files, in the order of the split.
  public let shards: [GGUFShard]
  /// Every tensor in source order: shard by shard, within each in header order.
  public let tensors: [GGUFTensor]
  private let positions: [String: Int]

  /// The model's metadata, which the first shard holds.
  public var metadata: GGUFMetadata { shards[0].header.metadata }

  /// Opens the model that the file at `path` is or belongs to, and reads all headers.
  ///
  /// Any file of a split model may be given; the others are found by their names,
  /// `BASE-00001-of-00005.gguf` in the same directory.
  /// - Throws: ``GGUFError`` for what is wrong with the files, `FileIOError` where one cannot be
  ///   read.
  public static func open(_ path: String) throws -> GGUFFile {
    let name = ShardName(path: path)
    let index = (name?.number ?? 1) - 1
    let given = try GGUFShard.read(path, index: index)
    let count = try given.splitCount()
    guard count > 1 || (name?.count ?? 1) > 1 else {
      return try GGUFFile(shards: [given])
    }
    guard let name else {
      throw GGUFError(
        .shardMismatch, path: path, field: "file name",
        expected: "a name that ends in -NNNNN-of-\(ShardName.digits(count)).gguf, because "
          + "split.count is \(count)",
        found: "another", advice: "give all files of the model the names they were published with")
    }
    try given.checkSplit(index: index, count: name.count)
    let shards = try (0..<name.count).map { other in
      if other == index { return given }
      let path = name.path(number: other + 1)
      let shard: GGUFShard
      do { shard = try GGUFShard.read(path, index: other) } catch let error as FileIOError {
        guard error.code == .notFound else { throw error }
        throw GGUFError(
          .missingShard, path: path, offset: nil, field: "shard \(other + 1) of \(name.count)",
          message: "no such file; put all files of the model into one directory")
      }
      try shard.checkSplit(index: other, count: name.count)
      return shard
    }
    return try GGUFFile(shards: shards)
  }

  /// A model of these files, checked against each other: complete, in order, of one architecture,
  /// no tensor twice.
  ///
  /// The tensors of shard i must carry the index i. Traps when `shards` is empty.
  public init(shards: [GGUFShard]) throws {
    precondition(!shards.isEmpty, "a model has at least one file")
    for (index, shard) in shards.enumerated() {
      precondition(
        shard.header.tensors.allSatisfy { $0.shard == index },
        "tensors of shard \(index) carry another index")
    }
    if try shards.count > 1 || shards[0].splitCount() > 1 {
      try Self.checkSplit(shards)
    }
    // One shard's tensors are shared with its header, not copied.
    tensors = shards.count == 1 ? shards[0].header.tensors : shards.flatMap(\.header.tensors)
    var positions: [String: Int] = [:]
    positions.reserveCapacity(tensors.count)
    for (position, tensor) in tensors.enumerated() {
      guard let first = positions.updateValue(position, forKey: tensor.name) else { continue }
      throw GGUFError(
        .duplicateName, path: shards[tensor.shard].path,
        field: "tensor \(tensor.name.quotedForMessage)", expected: "every name once in the model",
        found: "it in \(shards[tensors[first].shard].path) as well")
    }
    self.positions = positions
    self.shards = shards
  }

  /// The tensor of this name, or nil. O(1).
  public func tensor(named name: String) -> GGUFTensor? {
    positions[name].map { tensors[$0] }
  }

  private static func checkSplit(_ shards: [GGUFShard]) throws {
    for (index, shard) in shards.enumerated() {
      try shard.checkSplit(index: index, count: shards.count)
    }
    let architecture = try shards[0].header.metadata.optionalString("general.architecture")
    let total = shards.reduce(0) { $0 + $1.header.tensors.count }
    for (index, shard) in shards.enumerated() {
      let metadata = shard.header.metadata
      if let other = try metadata.optionalString("general.architecture"), other != architecture {
        throw shard.mismatch(
          "metadata key 'general.architecture'",
          expected: "\((architecture ?? "none").quotedForMessage) as in \(shards[0].path)",
          found: other.quotedForMessage)
      }
      // The first shard must say how many tensors there are, or a lost one would go unnoticed.
      let key = "split.tensors.count"
      let claimed = try index == 0 ? metadata.unsigned(key) : metadata.optionalUnsigned(key)
      guard claimed == nil || claimed == UInt64(total) else {
        throw shard.mismatch(
          "metadata key '\(key)'", expected: "\(total), the tensors of all \(shards.count) files",
          found: "\(claimed ?? 0)")
      }
    }
  }
}

extension GGUFShard {
  /// Files of the model: `split.count`, or 1 where it is absent or 0, as in merged files.
  fileprivate func splitCount() throws(GGUFError) -> UInt64 {
    max(1, try header.metadata.optionalUnsigned("split.count") ?? 1)
  }

  /// Checks that the file says of itself that it is number `index` (from 0) of `count`.
  fileprivate func checkSplit(index: Int, count: Int) throws(GGUFError) {
    for (key, expected) in [("split.count", count), ("split.no", index)] {
      let found = try header.metadata.optionalUnsigned(key)
      guard found == UInt64(expected) else {
        throw mismatch(
          "metadata key '\(key)'",
          expected: "\(expected) for file \(index + 1) of \(count)",
          found: found.map { "\($0)" } ?? "no such key")
      }
    }
  }

  fileprivate func mismatch(_ field: String, expected: String, found: String) -> GGUFError {
    GGUFError(
      .shardMismatch, path: path, field: field, expected: expected, found: found,
      advice: "give all files of one model the names they were published with")
  }
}
