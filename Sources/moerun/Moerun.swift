import ArgumentParser

@main
struct Moerun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "moerun",
    abstract: "Runs a mixture-of-experts model from its pack, reading experts from disk on demand.",
    discussion: """
      Make a pack with moepack convert. Weights that every token needs stay in memory, experts \
      come and go within --memory; the text never depends on what was cached.

      Exit status: 0 done, 2 could not do it, 64 wrong usage; 130 ended by Ctrl-C, 143 by SIGTERM.
      """,
    version: "0.1.0",
    subcommands: [
      Generate.self, Bench.self, PerplexityCommand.self, Tokenize.self, LogitsCommand.self,
      Trace.self, Simulate.self, Info.self,
    ])
}
