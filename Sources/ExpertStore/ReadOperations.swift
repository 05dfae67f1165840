internal import ExpertPack

/// How the reads of one expert are issued: as they are, cut in halves, or merged with neighbours.
///
/// A placement's read has its own checksum and becomes usable by itself; an operation is what the
/// disk is asked for. Operations are numbered in the order of the bytes.
struct ReadOperations {
  private let readCount: Int
  private let operationsPerRead: Int
  private let readsPerOperation: Int

  /// No operations.
  init() { (readCount, operationsPerRead, readsPerOperation) = (0, 1, 1) }

  /// Issues `reads` for a split of `split`: 8 halves them, 2 and 1 merge pairs and all of them
  /// where they follow one another in the file and in the slot.
  init(_ reads: [ExpertPlacement.Read], split: Int) {
    readCount = reads.count
    let canHalve = reads.allSatisfy { $0.length >= 2 * ExpertPlacement.alignment }
    operationsPerRead = split == 8 && canHalve ? 2 : 1
    var canMerge = split < 4
    for index in reads.indices.dropFirst() where canMerge {
      let (one, two) = (reads[index - 1], reads[index])
      canMerge =
        one.file == two.file && one.offset + UInt64(one.length) == two.offset
        && one.slotOffset + one.length == two.slotOffset
    }
    readsPerOperation = canMerge ? (split == 1 ? max(reads.count, 1) : 2) : 1
  }

  /// Operations of the expert, at most 64.
  var count: Int {
    readsPerOperation > 1
      ? (readCount + readsPerOperation - 1) / readsPerOperation : readCount * operationsPerRead
  }

  /// Bit per operation: all of them.
  var all: UInt64 { count == 64 ? .max : (1 << UInt64(count)) - 1 }

  /// The reads that `operation` is part of, or consists of.
  func reads(of operation: Int) -> Range<Int> {
    guard readsPerOperation > 1 else {
      let read = operation / operationsPerRead
      return read..<read + 1
    }
    let first = operation * readsPerOperation
    return first..<min(first + readsPerOperation, readCount)
  }

  /// Bit per operation that `read` needs.
  func mask(of read: Int) -> UInt64 {
    guard readsPerOperation == 1 else { return 1 << UInt64(read / readsPerOperation) }
    return ((1 << UInt64(operationsPerRead)) - 1) << UInt64(read * operationsPerRead)
  }

  /// Bytes of the slot that `operation` fills.
  func slotBytes(of operation: Int, _ reads: [ExpertPlacement.Read]) -> Range<Int> {
    let covered = self.reads(of: operation)
    let (first, last) = (reads[covered.lowerBound], reads[covered.upperBound - 1])
    guard operationsPerRead == 2 else {
      return first.slotOffset..<last.slotOffset + last.length
    }
    let half = first.length / 2 / ExpertPlacement.alignment * ExpertPlacement.alignment
    let (start, end) = (first.slotOffset, first.slotOffset + first.length)
    return operation % 2 == 0 ? start..<start + half : start + half..<end
  }
}

/// What a request of the store is for, as the tag it travels with.
struct ReadTag {
  /// The slot that is filled.
  let slot: Int
  /// The operation, or the read that is read again by itself.
  let index: Int
  /// Whether the read failed before: then its next failure is final.
  let isRetry: Bool

  init(slot: Int, index: Int, isRetry: Bool) {
    self.slot = slot
    self.index = index
    self.isRetry = isRetry
  }

  init(rawValue: UInt64) {
    slot = Int(rawValue >> 8)
    index = Int(rawValue & 0x7F)
    isRetry = rawValue & 0x80 != 0
  }

  var rawValue: UInt64 { UInt64(slot) << 8 | (isRetry ? 0x80 : 0) | UInt64(index) }
}
