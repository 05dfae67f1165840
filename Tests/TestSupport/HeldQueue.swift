public import FileIO

/// A read queue that holds reads back until it is told to begin them, and knows what it holds.
public final class HeldQueue: ReadQueue, ReadCompletion {
  private struct State {
    var held: [ReadRequest] = []
    var holds: Set<ReadPriority>
    /// Reads that the queue below has, or whose users are being told.
    var live: [UInt64: ReadRequest] = [:]
    var nextTag: UInt64 = 0
    var submitted: [ReadPriority: Int] = [:]
  }

  private let inner: any ReadQueue
  private let state: Monitor<State>

  /// Holds back reads of `priorities` before they reach `inner`, which it closes with itself.
  public init(_ inner: any ReadQueue, holding priorities: Set<ReadPriority>) {
    self.inner = inner
    state = Monitor(State(holds: priorities))
  }

  /// Backend of the queue that does the reading.
  public var backend: ReadBackend { inner.backend }
  /// Its reads in flight.
  public var depth: Int { inner.depth }

  /// Reads of `priority` that are held back.
  public func heldCount(_ priority: ReadPriority) -> Int {
    state.withLock { $0.held.count { $0.priority == priority } }
  }

  /// Reads of `priority` that were ever submitted.
  public func submittedCount(_ priority: ReadPriority) -> Int {
    state.withLock { $0.submitted[priority] ?? 0 }
  }

  /// Begins what is held back, and holds back `priorities` from now on.
  public func release(holding priorities: Set<ReadPriority> = []) {
    let released = state.withLock { state in
      defer { state.held = [] }
      state.holds = priorities
      return state.held
    }
    for request in released { pass(request) }
  }

  /// Waits until the queue below has nothing and every user has been told.
  public func waitUntilIdle() { state.wait(while: { !$0.live.isEmpty }, then: { _ in }) }

  /// Takes a read, and passes it on unless its priority is held back.
  public func submit(_ request: ReadRequest) {
    let isHeld = state.withLock { state in
      state.submitted[request.priority, default: 0] += 1
      guard state.holds.contains(request.priority) else { return false }
      state.held.append(request)
      return true
    }
    if !isHeld { pass(request) }
  }

  private func pass(_ request: ReadRequest) {
    let tag = state.withLock { state in
      state.nextTag += 1
      state.live[state.nextTag] = request
      return state.nextTag
    }
    inner.submit(
      ReadRequest(
        file: request.file, offset: request.offset, target: request.target,
        priority: request.priority, tag: tag, completion: self))
  }

  /// Cancels what matches of the reads held back or not begun.
  public func cancel(where matches: (ReadRequest) -> Bool) {
    let removed = state.withLock { state in
      let removed = state.held.filter(matches)
      state.held.removeAll(where: matches)
      return removed
    }
    for request in removed { request.completion.readEnded(request, .cancelled) }
    inner.cancel { hidden in
      state.withLock { $0.live[hidden.tag] }.map(matches) ?? false
    }
  }

  /// Cancels what is held back and ends the queue below.
  public func close() {
    state.withLock { $0.holds = [] }
    cancel { _ in true }
    inner.close()
    waitUntilIdle()
  }

  /// Hands an outcome on.
  public func readEnded(_ hidden: ReadRequest, _ outcome: ReadOutcome) {
    guard let request = state.withLock({ $0.live[hidden.tag] }) else { return }
    request.completion.readEnded(request, outcome)
    state.withLock { $0.live[hidden.tag] = nil }
    state.wakeAll()
  }
}
