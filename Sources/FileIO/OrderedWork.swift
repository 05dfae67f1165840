/// Blocking work on real threads whose results are taken in order: reads, hashing and writes of many
/// pieces at once, and one place where what they found is put together as if they had run one by one.
public enum OrderedWork {
  private struct State<Result> {
    var next = 0
    var committed = 0
    var isCommitting = false
    var results: [Int: Result] = [:]
    var failure: (index: Int, error: any Error)?
  }

  private enum Step<Result> {
    case work(Int)
    case commit(Int, Result)
    case end
  }

  /// Calls `work` once for each index of `0..<count` on `threads` threads (the caller is one of them),
  /// and `commit` with each result, one at a time and in ascending order.
  ///
  /// While one thread commits the others go on, but no index is handed out `window` or more ahead of the
  /// first that is not committed: that bounds the results that wait. After an error nothing further is
  /// begun, and what comes before its index is still committed: on a full disk that saves most of a layer.
  /// Of several errors the one with the lowest index is thrown.
  public static func forEach<Result: Sendable>(
    _ count: Int, threads: Int, window: Int,
    _ work: @escaping @Sendable (Int) throws -> Result,
    commit: @escaping @Sendable (Int, Result) throws -> Void
  ) throws {
    let state = Monitor(State<Result>())
    let window = max(window, 1)
    try ParallelWork.forEach(max(1, min(threads, count)), threads: threads) { _ in
      while true {
        let step = state.waitForValue { next(&$0, count: count, window: window) }
        let index: Int
        do {
          switch step {
          case .end: return
          case .work(let item):
            index = item
            let result = try work(item)
            state.withLock { $0.results[item] = result }
          case .commit(let item, let result):
            index = item
            try commit(item, result)
            state.withLock {
              $0.committed += 1
              $0.isCommitting = false
            }
          }
        } catch {
          state.withLock {
            if let known = $0.failure, known.index < index { return }
            // A commit that failed stays the one in progress: nothing is committed after it.
            $0.failure = (index, error)
          }
        }
        state.wakeAll()
      }
    }
    if let failure = state.withLock({ $0.failure }) { throw failure.error }
  }

  /// What a thread does next; nil while it has to wait. Committing comes first: it makes room.
  private static func next<Result>(
    _ state: inout State<Result>, count: Int, window: Int
  ) -> Step<Result>? {
    let end = state.failure?.index ?? count
    if state.committed >= end { return .end }
    if !state.isCommitting, let result = state.results.removeValue(forKey: state.committed) {
      state.isCommitting = true
      return .commit(state.committed, result)
    }
    guard state.failure == nil, state.next < count, state.next < state.committed + window else {
      return nil
    }
    defer { state.next += 1 }
    return .work(state.next)
  }
}
