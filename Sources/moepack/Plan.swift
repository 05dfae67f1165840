import ArgumentParser
import CommandSupport
import FileIO
import GGUF
import Packer
import Planner
import Recipes

struct Plan: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the pack that convert would write, and how the model would run.",
    discussion: """
      Records, slices and sizes; the smallest --memory that runs the model; bytes and tokens a second \
      to expect from this machine's disk, which is measured for a moment; how long converting takes. \
      Of a GGUF, or of a recipe without any download. Writes nothing. Examples:

        moepack plan model-00001-of-00005.gguf -o /ssd/model.moepack
        moepack plan qwen3.5-397b-a17b --memory 48GiB --probe /ssd/any-large-file
      """)

  @Argument(
    help: "The GGUF, any shard of a split one; or a recipe, its name or its file.",
    completion: .file(extensions: ["gguf", "yaml"]))
  var file: String

  @OptionGroup var choice: RecipeOption

  @Option(
    help: ArgumentHelp(
      "Memory to run in, as in 8GiB. (default: 80 % of what is usable)", valueName: "size"))
  var memory: ByteSize?

  @Option(help: "Positions of a session.")
  var context = 4096

  @Option(name: .shortAndLong, help: "Where the pack would be, for the room on its disk.")
  var output: String?

  @Option(
    help: ArgumentHelp(
      "A large file on the disk that experts would be read from. (default: the GGUF)",
      valueName: "path"))
  var probe: String?

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (1...16_777_216).contains(context) else {
      throw ValidationError("--context takes 1 to 16777216, found \(context)")
    }
  }

  func run() throws {
    try runCommand("moepack") {
      let subject = try PlanSubject(file, recipe: choice.recipe)
      for problem in subject.problems { Console.message("moepack: skipped \(problem)") }
      let threads = SystemMemory.coreCount
      let need = try MemoryNeed(
        source: subject.source, plan: subject.plan, contextLength: context, threads: threads,
        headerBytes: subject.isShape
          ? (subject.choice?.recipe.shape).map {
            MemoryNeed.headerBytes(vocabularySize: $0.vocabularySize)
          } : nil)
      let speed = MachineSpeed.measure(
        paths: probe.map { [$0] } ?? subject.files(of: file),
        recordBytes: need.slotBytes, threads: threads)
      if let probe, speed.diskBytesPerSecond == nil {
        throw ValidationError(
          "--probe takes a file of at least "
            + ByteSize.text(UInt64(MachineSpeed.leastFileBytes(recordBytes: need.slotBytes)))
            + " that can be read; \(probe) is none")
      }
      let report = PlanReport(
        subject: subject, need: need, speed: speed,
        budget: memory?.bytes ?? SystemMemory.defaultBudget, isBudgetGiven: memory != nil,
        output: output)
      if json { try Console.json(report) } else { Console.line(report.text) }
    }
  }
}
