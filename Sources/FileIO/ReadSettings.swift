/// How experts are read. No choice changes any byte that is delivered.
public struct ReadSettings: Sendable, Equatable {
  /// What reads.
  public var backend: ReadBackend
  /// Reads at once: threads of the pool, or entries of the ring; 1 to 64.
  public var depth: Int
  /// Reads that a packed expert is cut into; one of ``splits``.
  public var split: Int

  /// Values that ``split`` may have.
  public static let splits = [1, 2, 4, 8]

  /// For disks that cannot be measured. On a virtual disk (2 GiB of random bytes, direct reads of
  /// 1.36 MB, checksums included) 8 threads reached 1.66 GB/s, 64 no more and one 1.2 GB/s; splits
  /// of 1 to 8 were alike within the noise, and with quarters compute begins earliest.
  public static let standard = ReadSettings(backend: .pread, depth: 8, split: 4)

  /// Settings with these values; `depth` is brought into its range.
  public init(backend: ReadBackend, depth: Int, split: Int) {
    self.backend = backend
    self.depth = min(max(depth, 1), 64)
    self.split = Self.splits.last { $0 <= split } ?? 1
  }

  /// Starts a queue.
  /// - Parameters:
  ///   - files: The files that will be read.
  ///   - memory: Where reads will go; has to outlive the queue.
  ///   - piece: No read crosses a multiple of so many bytes from the start of `memory`.
  /// - Returns: A queue of ``backend``; its owner closes it.
  /// - Throws: `.system` where the backend is missing or threads are refused.
  public func makeQueue(
    files: [File], memory: UnsafeMutableRawBufferPointer, piece: Int
  ) throws(FileIOError) -> any ReadQueue {
    switch backend {
    case .uring: try UringQueue(depth: depth, files: files, memory: memory, piece: piece)
    case .pread: try PreadQueue(depth: depth)
    }
  }
}

extension ReadBackend {
  /// Whether this system has it and lets this process use it.
  public var isAvailable: Bool {
    switch self {
    case .uring: UringQueue.isAvailable
    case .pread: true
    }
  }
}
