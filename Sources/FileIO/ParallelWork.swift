internal import CPlatform
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Blocking work on real threads, for reads, hashing and writes. Never the Swift concurrency pool,
/// whose threads must not block.
public enum ParallelWork {
  /// Calls `body` once for each index of `0..<count`, handing them out in ascending order to
  /// `threads` threads (the caller is one of them), and returns when all have ended.
  ///
  /// After a call throws no further index is handed out. Of several errors the one with the lowest
  /// index is thrown, so what is reported does not depend on timing.
  public static func forEach(
    _ count: Int, threads: Int, _ body: @escaping @Sendable (Int) throws -> Void
  ) throws {
    let state = SharedState(count: count)
    let extra = max(0, min(threads, count) - 1)
    var handles: [pthread_t] = []
    for _ in 0..<extra {
      let context = Unmanaged.passRetained(ThreadContext { state.run(body) })
      if let handle = start(context) { handles.append(handle) } else { context.release() }
    }
    state.run(body)
    for handle in handles { pthread_join(handle, nil) }
    if let error = state.firstError { throw error }
  }

  private static func start(_ context: Unmanaged<ThreadContext>) -> pthread_t? {
    #if canImport(Darwin)
      var handle: pthread_t?
    #else
      var handle = pthread_t()
    #endif
    let status = pthread_create(
      &handle, nil,
      { argument in
        cp_name_thread("moe-work")
        // The pointer is the retained context of `forEach`.
        #if canImport(Darwin)
          Unmanaged<ThreadContext>.fromOpaque(argument).takeRetainedValue().body()
        #else
          if let argument {
            Unmanaged<ThreadContext>.fromOpaque(argument).takeRetainedValue().body()
          }
        #endif
        return nil
      }, context.toOpaque())
    return status == 0 ? handle : nil
  }

  private final class ThreadContext {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  private final class SharedState: Sendable {
    private struct Progress {
      var next = 0
      var failure: (index: Int, error: any Error)?
    }
    private let count: Int
    private let progress = Mutex(Progress())

    init(count: Int) { self.count = count }

    var firstError: (any Error)? { progress.withLock { $0.failure?.error } }

    func run(_ body: (Int) throws -> Void) {
      while let index = claim() {
        do {
          try body(index)
        } catch {
          progress.withLock { state in
            if let known = state.failure, known.index < index { return }
            state.failure = (index, error)
          }
        }
      }
    }

    private func claim() -> Int? {
      progress.withLock { state in
        guard state.failure == nil, state.next < count else { return nil }
        defer { state.next += 1 }
        return state.next
      }
    }
  }
}
