internal import CPlatform
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Threads of our own: reads block, and a blocked thread of Swift's cooperative pool is one less
/// for everybody else.
package final class ThreadGroup: @unchecked Sendable {
  // Sendable: `threads` is written by init alone, and read by the one caller of join.
  private var threads: [pthread_t] = []

  /// What a thread is started with; the thread takes ownership.
  private final class Start {
    let name: String
    let body: @Sendable () -> Void
    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Starts `count` threads named `name-0`, `name-1`, ... that run `body` and end with it.
  /// Throws when the system refuses the first one; fewer than `count` otherwise.
  package init(name: String, count: Int, body: @escaping @Sendable () -> Void) throws(FileIOError) {
    for index in 0..<count {
      let start = Unmanaged.passRetained(Start(name: "\(name)-\(index)", body: body))
      #if canImport(Darwin)
        var thread: pthread_t?
      #else
        var thread = pthread_t()
      #endif
      let status = pthread_create(&thread, nil, threadMain, start.toOpaque())
      guard status == 0 else {
        start.release()
        if threads.isEmpty {
          throw FileIOError(
            .system, path: name,
            message: "cannot start a thread (errno \(status)); raise this user's limit on threads")
        }
        return
      }
      #if canImport(Darwin)
        if let thread { threads.append(thread) }
      #else
        threads.append(thread)
      #endif
    }
  }

  /// Threads that run.
  package var count: Int { threads.count }

  /// Waits until every thread has ended. Called once.
  package func join() {
    for thread in threads { pthread_join(thread, nil) }
    threads = []
  }

  fileprivate static func run(_ argument: UnsafeMutableRawPointer) {
    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
    cp_name_thread(start.name)
    start.body()
  }
}

#if canImport(Darwin)
  private func threadMain(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    ThreadGroup.run(argument)
    return nil
  }
#else
  private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { ThreadGroup.run(argument) }
    return nil
  }
#endif
