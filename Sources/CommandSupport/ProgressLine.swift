internal import Synchronization

/// One line on a terminal that says how far long work has come: bytes, share, rate, time left.
///
/// Nothing is printed when standard error is no terminal. Any thread may report.
public final class ProgressLine: Sendable {
  private struct State {
    var total: UInt64
    var done: UInt64 = 0
    var lastDrawn: ContinuousClock.Instant?
    var width = 0
  }
  private let title: String
  private let start = ContinuousClock.now
  private let isVisible: Bool
  private let state: Mutex<State>

  /// At most six drawings a second.
  private static let interval = Duration.milliseconds(170)

  /// - Parameters:
  ///   - title: What is being done, in the present participle: "packing".
  ///   - total: Bytes to do; 0 while not known.
  public init(_ title: String, total: UInt64 = 0) {
    self.title = title
    isVisible = Console.isErrorTerminal
    state = Mutex(State(total: total))
  }

  /// Sets the bytes to do once they are known.
  public func setTotal(_ bytes: UInt64) { state.withLock { $0.total = bytes } }

  /// Seconds since the line was made.
  public var seconds: Double { (ContinuousClock.now - start).inSeconds }

  /// Adds finished bytes.
  public func add(_ bytes: UInt64) {
    state.withLock { state in
      state.done += bytes
      let now = ContinuousClock.now
      if let last = state.lastDrawn, now - last < Self.interval { return }
      state.lastDrawn = now
      draw(&state)
    }
  }

  /// Says how many of `total` pieces of work are done, with a word on the result so far.
  public func set(done: Int, total: Int, note: String) {
    state.withLock { state in
      let now = ContinuousClock.now
      if let last = state.lastDrawn, now - last < Self.interval { return }
      state.lastDrawn = now
      let left = seconds / Double(max(done, 1)) * Double(total - done)
      show("\(title) \(done) of \(total), \(note), \(Self.duration(left)) left", &state)
    }
  }

  /// Removes the line, so that results and messages follow on a clean one.
  public func clear() {
    state.withLock { state in
      guard isVisible, state.width > 0 else { return }
      Console.status("\r" + String(repeating: " ", count: state.width) + "\r")
      state.width = 0
    }
  }

  private func draw(_ state: inout State) {
    let rate = Double(state.done) / max(seconds, 1e-3)
    var text = "\(title) \(ByteSize.text(state.done))"
    if state.total > 0 {
      let share = Double(state.done) / Double(state.total)
      text += " of \(ByteSize.text(state.total)) (\(decimal(share * 100, 0)) %)"
      let left = Double(state.total - min(state.done, state.total)) / max(rate, 1)
      text += ", \(ByteSize.text(UInt64(rate)))/s, \(Self.duration(left)) left"
    } else {
      text += ", \(ByteSize.text(UInt64(rate)))/s"
    }
    show(text, &state)
  }

  private func show(_ text: String, _ state: inout State) {
    guard isVisible else { return }
    let padding = max(0, state.width - text.count)
    Console.status("\r" + text + String(repeating: " ", count: padding))
    state.width = text.count
  }

  /// `seconds` as people say it: 8 s, 3 min 20 s, 2 h 5 min.
  public static func duration(_ seconds: Double) -> String {
    let whole = Int(min(seconds, 1e9).rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
}

extension Duration {
  /// The duration as a number of seconds.
  public var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
