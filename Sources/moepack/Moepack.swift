import ArgumentParser

@main
struct Moepack: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "moepack",
    abstract: "Turns mixture-of-experts GGUF checkpoints into packs that stream from an SSD.",
    discussion: """
      A pack holds every byte of the checkpoint, checksummed, with each expert as one page-aligned \
      record. moerun runs it; moepack export gives the identical GGUF back.

      Exit status: 0 done, 1 damage or differences found, 2 could not do it, 64 wrong usage.
      """,
    version: "0.1.0",
    subcommands: [
      Inspect.self, Plan.self, Convert.self, Verify.self, Repair.self, Export.self, Synth.self,
    ])
}

/// The option of every command that reads or writes a whole pack.
struct ThreadOptions: ParsableArguments {
  @Option(help: "Threads that read, cut, join and hash.")
  var threads = 8

  func validate() throws {
    guard (1...256).contains(threads) else {
      throw ValidationError("--threads takes 1 to 256, found \(threads)")
    }
  }
}
