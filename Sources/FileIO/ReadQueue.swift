/// Reads that run while the submitting thread does something else.
///
/// Reads begin in order of priority, and within a priority in the order they were submitted; they
/// end in any order. Two backends exist, ``UringQueue`` and ``PreadQueue``. All methods may be
/// called from any thread, also from a completion.
public protocol ReadQueue: AnyObject, Sendable {
  /// The mechanism behind the queue.
  var backend: ReadBackend { get }
  /// Reads that run at once, at most.
  var depth: Int { get }
  /// Takes over `request` until its completion is told the outcome. Never blocks on the disk and
  /// never fails: a read that cannot be done ends with an error, one after ``close()`` as cancelled.
  func submit(_ request: ReadRequest)
  /// Ends queued reads that match as cancelled, on the calling thread. Reads that run already are
  /// left alone.
  func cancel(where matches: (ReadRequest) -> Bool)
  /// Cancels what is queued, waits for what runs and ends the queue's threads. Must be called
  /// before the last reference goes, and not from a completion.
  func close()
}

/// Mechanisms to read with.
public enum ReadBackend: String, Sendable, CaseIterable, Codable {
  /// io_uring: one thread, any number of reads. Linux, where the kernel allows it.
  case uring
  /// A pool of threads in `pread`.
  case pread
}

/// What is read first.
public enum ReadPriority: Sendable {
  /// Somebody waits for it, or soon will.
  case demand
  /// It may be of use soon: begun when no demand is queued.
  case speculative
  /// It may be of use some day: begun when nothing else is queued.
  case background
}

/// One read: a range of a file into memory.
public struct ReadRequest: @unchecked Sendable {
  // Sendable: from submission to completion the queue alone touches what `target` points to.

  /// The file. For a direct file, offset, target and length are multiples of its alignment.
  public let file: File
  /// Where in the file.
  public let offset: UInt64
  /// Where the bytes go; as many as fit are read.
  public let target: UnsafeMutableRawBufferPointer
  /// When the read begins.
  public let priority: ReadPriority
  /// Whatever the submitter wants to find again.
  public let tag: UInt64
  /// Told the outcome; kept alive until then.
  public let completion: any ReadCompletion
  /// When the system was asked for it; nil before that. Set by the queue.
  public internal(set) var began: ContinuousClock.Instant?

  /// Describes a read.
  public init(
    file: File, offset: UInt64, target: UnsafeMutableRawBufferPointer,
    priority: ReadPriority = .demand, tag: UInt64, completion: any ReadCompletion
  ) {
    self.file = file
    self.offset = offset
    self.target = target
    self.priority = priority
    self.tag = tag
    self.completion = completion
  }

  /// Why the read cannot be tried at all, nil when it can. The kernel would say just "invalid".
  var refusal: FileIOError? {
    let alignment = file.directAlignment
    let address = UInt(bitPattern: target.baseAddress)
    guard
      offset % UInt64(alignment) != 0 || target.count % alignment != 0
        || address % UInt(alignment) != 0 || offset > UInt64(Int64.max)
    else { return nil }
    return FileIOError(
      .system, path: file.path,
      message:
        "cannot read \(target.count) bytes at \(offset) to address \(address): a direct read "
        + "takes multiples of \(alignment)")
  }
}

/// How a read ended.
public enum ReadOutcome: Sendable {
  /// So many bytes are in the target; fewer than asked for only at the end of the file.
  case read(Int)
  /// Nothing in the target may be used.
  case failed(FileIOError)
  /// Never begun.
  case cancelled
}

/// Is told how reads ended.
public protocol ReadCompletion: AnyObject, Sendable {
  /// Called once for every request, on a thread of the queue, or on the one that cancelled it. No
  /// lock is held, so new reads may be submitted; while it runs this thread completes no other read.
  func readEnded(_ request: ReadRequest, _ outcome: ReadOutcome)
}
