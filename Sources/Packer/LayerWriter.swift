internal import ExpertPack
internal import FileIO

/// Reads the experts of one layer from the source, cuts them and writes the layer's file.
struct LayerWriter {
  let layer: ExpertLayer
  /// The source's shards.
  let shards: [any ByteSource]
  let threads: Int

  /// Memory for the records of one batch; bounds what a conversion holds whatever the model.
  private static let batchBytes = 64 << 20

  /// Bytes of a write, where records are smaller: a disk's full rate needs a few megabytes.
  private static let writeBytes = 4 << 20

  struct Result {
    /// Of every expert, every extent.
    var checksums: [UInt64] = []
    var digest: Digest128?
  }

  /// Writes the records to `file`, in order, and flushes it.
  func write(to file: File, progress: @escaping PackProgress) throws -> Result {
    let record = ExpertRecord(layer: layer)
    let stride = layer.geometry.recordStride
    let readBytes = layer.geometry.readBytes
    let batch = max(1, min(layer.expertCount, Self.batchBytes / stride))
    let group = max(1, Self.writeBytes / stride)
    let records = try AlignedBuffer(count: batch * stride)
    let matrices = try AlignedBuffer(count: batch * record.sourceBytes)
    let sums = try AlignedBuffer(count: batch * PackLimits.splits * 8)
    let stream = XXH3Stream128()
    var result = Result()
    for first in Swift.stride(from: 0, to: layer.expertCount, by: batch) {
      let count = min(batch, layer.expertCount - first)
      try ParallelWork.forEach(
        (count + group - 1) / group, threads: threads
      ) { [layer] index in
        let positions = index * group..<min(count, (index + 1) * group)
        for position in positions {
          let expert = first + position
          let source = matrices.bytes.part(
            position * record.sourceBytes..<(position + 1) * record.sourceBytes)
          try readMatrices(ofExpert: expert, into: source)
          let target = records.bytes.part(position * stride..<(position + 1) * stride)
          target.initializeMemory(as: UInt8.self, repeating: 0)
          record.slice(UnsafeRawBufferPointer(source), into: target)
          for extent in 0..<PackLimits.splits {
            let sum = XXH3.hash64(
              UnsafeRawBufferPointer(target.part(extent * readBytes..<(extent + 1) * readBytes)),
              seed: ChecksumTable.seed(layer: layer.layer, expert: expert, extent: extent))
            sums.bytes.storeBytes(
              of: sum, toByteOffset: (position * PackLimits.splits + extent) * 8, as: UInt64.self)
          }
          progress(UInt64(record.sourceBytes))
        }
        // Written where it was made: one thread's write overlaps the others' reading and cutting.
        try file.write(
          UnsafeRawBufferPointer(
            records.bytes.part(positions.lowerBound * stride..<positions.upperBound * stride)),
          at: UInt64(first + positions.lowerBound) * UInt64(stride))
      }
      stream.update(UnsafeRawBufferPointer(records.bytes.part(0..<count * stride)))
      for index in 0..<count * PackLimits.splits {
        result.checksums.append(sums.bytes.load(fromByteOffset: index * 8, as: UInt64.self))
      }
    }
    try file.synchronize()
    result.digest = stream.digest
    return result
  }

  /// The checksums of the layer's extents in the source, for an in-place pack.
  func sourceChecksums(progress: @escaping PackProgress) throws -> [UInt64] {
    let record = ExpertRecord(layer: layer)
    let extents = layer.sources.count
    let sums = try AlignedBuffer(count: layer.expertCount * extents * 8)
    try ParallelWork.forEach(layer.expertCount, threads: threads) { [layer] expert in
      let matrices = try AlignedBuffer(count: record.sourceBytes)
      try readMatrices(ofExpert: expert, into: matrices.bytes)
      var start = 0
      for (extent, source) in layer.sources.enumerated() {
        let sum = XXH3.hash64(
          UnsafeRawBufferPointer(matrices.bytes.part(start..<start + source.byteCount)),
          seed: ChecksumTable.seed(layer: layer.layer, expert: expert, extent: extent))
        sums.bytes.storeBytes(
          of: sum, toByteOffset: (expert * extents + extent) * 8, as: UInt64.self)
        start += source.byteCount
      }
      progress(UInt64(record.sourceBytes))
    }
    return (0..<layer.expertCount * extents).map {
      sums.bytes.load(fromByteOffset: $0 * 8, as: UInt64.self)
    }
  }

  private func readMatrices(
    ofExpert expert: Int, into matrices: UnsafeMutableRawBufferPointer
  ) throws {
    var start = 0
    for source in layer.sources {
      try shards[source.shard].readExactly(
        into: matrices.part(start..<start + source.byteCount),
        at: source.offset(ofExpert: expert))
      start += source.byteCount
    }
  }
}
