import ArgumentParser
import CommandSupport
import ExpertPack
import Packer

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write the GGUF that a pack was made from, byte for byte.",
    discussion: """
      The result is proved by the checksum of the source before it gets its name. A source that \
      came in shards is written as its shards: name the first, ...-00001-of-0000N.gguf.
      """)

  @Argument(help: "The pack.", completion: .directory)
  var pack: String

  @Option(name: .shortAndLong, help: "The GGUF to write; the first shard of a split one.")
  var output: String

  @Flag(help: "Replace existing files.")
  var overwrite = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var work: ThreadOptions

  private struct Report: Encodable {
    let files: [String]
    let bytes: UInt64
    let seconds: Double
  }

  func run() throws {
    try runCommand(
      "moepack",
      interruption: "what was written so far ends in .partial, run the same command again"
    ) {
      let opened = try PackDirectory.open(pack)
      let exporter = try PackExporter(pack: opened, threads: work.threads)
      let line = ProgressLine("exporting", total: exporter.progressBytes)
      defer { line.clear() }
      let written = try exporter.export(to: output, overwrite: overwrite) { line.add($0) }
      line.clear()
      if json {
        return try Console.json(
          Report(
            files: written, bytes: opened.manifest.sources.reduce(0) { $0 + $1.bytes },
            seconds: line.seconds))
      }
      let what =
        opened.manifest.requantized.map {
          "the source of \(pack), requantised from \($0.sources[0].name)"
        }
        ?? "identical to the source of \(pack)"
      for path in written { Console.line("\(path): \(what)") }
    }
  }
}
