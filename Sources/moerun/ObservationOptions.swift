import ArgumentParser
import CommandSupport
import Generation

/// How a run of the generator is watched.
struct ObservationOptions: ParsableArguments {
  @Option(
    name: .customLong("stats-csv"),
    help: ArgumentHelp(
      "Write what every token cost to this file.",
      discussion: "One row for the prompt, then one for every token, of these columns:\n"
        + StatisticsFile.columns.map { "\($0.name): \($0.content)" }.joined(separator: "\n"),
      valueName: "file"),
    completion: .file(extensions: ["csv"]))
  var statsCSV: String?

  @Flag(
    help: """
      Show speed, cache, disk, waiting and memory at the foot of the terminal while it runs.
      """)
  var live = false

  func validate() throws {
    if live, !TerminalPanel.isSupported {
      throw ValidationError(
        "--live draws on standard error, which is no terminal that can move its cursor here; "
          + "leave it out, or do not redirect standard error")
    }
  }

  /// Runs `body` under the eyes of whoever was asked to watch, and gives it what they are told with.
  /// - Parameters:
  ///   - loaded: The model that runs.
  ///   - budget: Bytes that the run may take.
  ///   - promptTokens: Tokens of the prompt.
  ///   - maximumTokens: Most tokens to generate.
  ///   - body: Given a function to call after every evaluation, the prompt's first.
  /// - Returns: What `body` returns.
  /// - Throws: What `body` throws, or what keeps the file or the view from starting.
  func watch<R>(
    _ loaded: RunOptions.Loaded, budget: UInt64, promptTokens: Int, maximumTokens: Int,
    _ body: (_ onStep: (Generator.Step) throws -> Void) throws -> R
  ) throws -> R {
    let file = try statsCSV.map { try StatisticsFile(path: $0) }
    let view =
      live
      ? try LiveView(
        loaded, budget: budget, promptTokens: promptTokens, maximumTokens: maximumTokens) : nil
    defer { view?.close() }
    return try body { step in
      view?.add(step)
      try file?.add(step)
    }
  }
}
