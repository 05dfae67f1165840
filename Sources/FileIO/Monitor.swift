#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// State behind a mutex, with a condition to wait for. `Synchronization.Mutex` has no condition
/// variable; this wraps the two of pthreads.
package final class Monitor<State>: @unchecked Sendable {
  // Sendable: `state` is touched only between lock and unlock of `mutex`.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var state: State

  package init(_ state: sending State) {
    self.state = state
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    condition.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Runs `body` alone with the state.
  package func withLock<R>(_ body: (inout State) throws -> R) rethrows -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&state)
  }

  /// Waits while `isBlocked` holds, then runs `body` alone with the state.
  package func wait<R>(
    while isBlocked: (borrowing State) -> Bool, then body: (inout State) throws -> R
  ) rethrows -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while isBlocked(state) { pthread_cond_wait(condition, mutex) }
    return try body(&state)
  }

  /// Runs `body` alone with the state, again after every wake, until it gives a value.
  package func waitForValue<R>(_ body: (inout State) throws -> R?) rethrows -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let value = try body(&state) { return value }
      pthread_cond_wait(condition, mutex)
    }
  }

  /// Waits while `isBlocked` holds, but for no more than about `seconds`, then runs `body` alone with
  /// the state. A step of the system's clock may lengthen or shorten the wait.
  package func wait<R>(
    upTo seconds: Double, while isBlocked: (borrowing State) -> Bool,
    then body: (inout State) throws -> R
  ) rethrows -> R {
    var deadline = timespec()
    clock_gettime(CLOCK_REALTIME, &deadline)
    let nanoseconds = deadline.tv_nsec + Int(min(max(seconds, 0), 1e6) * 1e9)
    deadline.tv_sec += nanoseconds / 1_000_000_000
    deadline.tv_nsec = nanoseconds % 1_000_000_000
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while isBlocked(state), pthread_cond_timedwait(condition, mutex, &deadline) == 0 {}
    return try body(&state)
  }

  /// Wakes one thread that waits.
  package func wakeOne() { pthread_cond_signal(condition) }

  /// Wakes every thread that waits.
  package func wakeAll() { pthread_cond_broadcast(condition) }
}
