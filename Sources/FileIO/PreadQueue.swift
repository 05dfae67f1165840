/// A read queue of threads in `pread`, each with one read at a time. Works everywhere.
public final class PreadQueue: ReadQueue {
  private struct State {
    var backlog = ReadBacklog()
    var isClosed = false
  }

  private let state: Monitor<State>
  private let threads: ThreadGroup

  /// Starts `depth` threads, 1 to 64, named `moe-io-0`, ...; throws when the system refuses them.
  public init(depth: Int) throws(FileIOError) {
    let state = Monitor(State())
    self.state = state
    threads = try ThreadGroup(name: "moe-io", count: min(max(depth, 1), 64)) { Self.serve(state) }
  }

  /// `.pread`.
  public var backend: ReadBackend { .pread }

  /// Threads that run.
  public var depth: Int { threads.count }

  /// Queues `request` for the next thread that is free.
  public func submit(_ request: ReadRequest) {
    let isClosed = state.withLock { state in
      if !state.isClosed { state.backlog.append(request) }
      return state.isClosed
    }
    if isClosed {
      request.completion.readEnded(request, .cancelled)
    } else {
      state.wakeOne()
    }
  }

  /// Ends queued reads that match as cancelled.
  public func cancel(where matches: (ReadRequest) -> Bool) {
    let removed = state.withLock { $0.backlog.remove(where: matches) }
    for request in removed { request.completion.readEnded(request, .cancelled) }
  }

  /// Cancels what is queued, waits for what runs and ends the threads.
  public func close() {
    state.withLock { $0.isClosed = true }
    state.wakeAll()
    cancel { _ in true }
    threads.join()
  }

  private static func serve(_ state: Monitor<State>) {
    while true {
      let next = state.wait(while: { $0.backlog.isEmpty && !$0.isClosed }) {
        $0.backlog.popFirst()
      }
      guard var request = next else { return }
      request.began = .now
      request.completion.readEnded(request, outcome(of: request))
    }
  }

  private static func outcome(of request: ReadRequest) -> ReadOutcome {
    if let refusal = request.refusal { return .failed(refusal) }
    do {
      return .read(try request.file.read(into: request.target, at: request.offset))
    } catch {
      return .failed(error)
    }
  }
}
