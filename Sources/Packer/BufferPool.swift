internal import FileIO
internal import Synchronization

/// Buffers of one size for threads that need one at a time: as many as threads at once, each mapped
/// and faulted in once instead of for every piece of work.
final class BufferPool: Sendable {
  private let byteCount: Int
  private let idle = Mutex<[AlignedBuffer]>([])

  init(byteCount: Int) { self.byteCount = byteCount }

  /// Calls `body` with a buffer that is its own for the time of the call; the content is what the
  /// last user left.
  func withBuffer(_ body: (AlignedBuffer) throws -> Void) throws {
    let buffer = try idle.withLock { $0.popLast() } ?? AlignedBuffer(count: byteCount)
    defer { idle.withLock { $0.append(buffer) } }
    try body(buffer)
  }
}
