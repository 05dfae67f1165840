import CommandSupport
import ExpertStore
import FileIO
import Generation
import ModelGraph

/// Draws what a run does at the foot of the terminal, on a thread of its own: a prompt takes long
/// and a read may hang, and that is when one wants to see something.
final class LiveView: Sendable {
  private struct State {
    var isClosed = false
    /// Tokens generated; nil while the prompt is evaluated.
    var generated: Int?
  }

  /// What the store had done at a moment.
  private struct Sample {
    let time: ContinuousClock.Instant
    let generated: Int?
    let statistics: StoreStatistics
  }

  /// At most six drawings a second.
  private static let interval = 0.17
  /// Rates are those of the last so many drawings, about two seconds.
  private static let window = 12

  private let state = Monitor(State())
  private let panel = TerminalPanel()
  private let threads: ThreadGroup

  /// Starts to draw.
  init(
    _ loaded: RunOptions.Loaded, budget: UInt64, promptTokens: Int, maximumTokens: Int
  ) throws {
    let (state, panel) = (state, panel)
    let run = Run(
      store: loaded.model.store, budget: budget,
      peak: loaded.reading.measuredBytesPerSecond ?? 0, promptTokens: promptTokens,
      maximumTokens: maximumTokens)
    threads = try ThreadGroup(name: "moe-live", count: 1) { Self.draw(run, state, panel) }
  }

  /// Notes that an evaluation has ended.
  func add(_ step: Generator.Step) {
    // The first evaluation is the prompt's.
    state.withLock { $0.generated = $0.generated.map { $0 + step.report.tokens } ?? 0 }
  }

  /// Clears the view and ends its thread. Called once.
  func close() {
    state.withLock { $0.isClosed = true }
    state.wakeAll()
    threads.join()
    panel.close()
  }

  private struct Run: Sendable {
    let store: ExpertStore
    let budget: UInt64
    let peak: Double
    let promptTokens: Int
    let maximumTokens: Int
  }

  private static func draw(_ run: Run, _ state: Monitor<State>, _ panel: TerminalPanel) {
    let style = LiveStyle.environment
    let start = ContinuousClock.now
    var samples: [Sample] = []
    var peak = run.peak
    while true {
      let (isClosed, generated) = state.wait(upTo: interval, while: { !$0.isClosed }) {
        ($0.isClosed, $0.generated)
      }
      if isClosed { return }
      samples.append(
        Sample(time: .now, generated: generated, statistics: run.store.statistics))
      if samples.count > window { samples.removeFirst() }
      let snapshot = snapshot(run, samples, seconds: (.now - start).inSeconds, peak: peak)
      peak = max(peak, snapshot.diskBytesPerSecond)
      panel.draw { snapshot.lines(columns: $0, rows: $1, style: style) }
    }
  }

  private static func snapshot(
    _ run: Run, _ samples: [Sample], seconds: Double, peak: Double
  ) -> LiveSnapshot {
    var snapshot = LiveSnapshot()
    guard let first = samples.first, let last = samples.last else { return snapshot }
    let span = (last.time - first.time).inSeconds
    let recent = last.statistics - first.statistics
    snapshot.promptTokens = run.promptTokens
    snapshot.maximumTokens = run.maximumTokens
    snapshot.generatedTokens = last.generated
    snapshot.seconds = seconds
    snapshot.slotsUsed = run.store.usedSlotCount
    snapshot.slotCount = run.store.slotCount
    snapshot.expertsRequested = last.statistics.expertsRequested
    snapshot.expertsRead = last.statistics.expertsRead
    snapshot.warmExperts = last.statistics.warmExperts
    snapshot.residentBytes = SystemMemory.resident
    snapshot.budgetBytes = run.budget
    snapshot.readsInFlight = recent.disk.meanReadsInFlight
    if recent.expertsRequested > 0 { snapshot.hitRate = recent.hitRate }
    if span > 0 {
      snapshot.tokensPerSecond = Double((last.generated ?? 0) - (first.generated ?? 0)) / span
      snapshot.diskBytesPerSecond = Double(recent.bytesRead + recent.warmBytes) / span
      snapshot.stallShare = min(1, recent.disk.stallSeconds / span)
    }
    snapshot.diskPeakBytesPerSecond = max(peak, snapshot.diskBytesPerSecond)
    return snapshot
  }
}
