internal import FileIO

/// Runs `body` with the numbers below `count` on a thread each, all at once, and waits for them.
/// Dispatch would start no more threads than there are processors, and some here wait for others.
public func concurrently(_ count: Int, _ body: @escaping @Sendable (_ number: Int) -> Void) {
  let next = Monitor(0)
  let threads = try? ThreadGroup(name: "test", count: count) {
    body(
      next.withLock { next in
        next += 1
        return next - 1
      })
  }
  precondition(threads?.count == count, "the system refuses \(count) threads")
  threads?.join()
}
