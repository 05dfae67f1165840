internal import Dispatch
internal import FileIO

/// Runs `body` on a thread of its own; false when it has not ended after `seconds`.
public func endsInTime(_ seconds: Double, _ body: @escaping @Sendable () -> Void) -> Bool {
  let done = DispatchSemaphore(value: 0)
  let thread = try? ThreadGroup(name: "test", count: 1) {
    body()
    done.signal()
  }
  return thread != nil && done.wait(timeout: .now() + seconds) == .success
}
