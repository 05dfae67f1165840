import ArgumentParser
import CommandSupport
import ExpertPack
import FileIO
import GGUF
import Packer
import Recipes

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Convert a GGUF into a pack.",
    discussion: """
      The source is only read, unless --consume is given. A conversion that is interrupted, by a \
      signal, a power failure or a full disk, leaves a directory that does not open as a pack; the \
      same command with --resume does what is missing. Example:

        moepack convert model-00001-of-00005.gguf -o model.moepack

      With --type, or the types of a recipe that --recipe names, the pack holds the model with other \
      types, which export writes as a GGUF:

        moepack convert model-BF16.gguf -o model.moepack --imatrix model.imatrix.gguf \\
          --type ffn_down_exps=iq4_xs --type 'ffn_*_exps=iq3_xxs' --type token_embd=q8_0
      """)

  @Argument(help: "The GGUF; any shard of a split one.", completion: .file(extensions: ["gguf"]))
  var file: String

  @Option(name: .shortAndLong, help: "The directory to write, by custom NAME.moepack.")
  var output: String

  @Flag(
    name: .customLong("in-place"),
    help: "Write no weights: index and checksum them where they are in the source.")
  var inPlace = false

  @OptionGroup var choice: RecipeOption

  @OptionGroup var requantization: RequantizationOptions

  @Flag(help: "Go on with what an interrupted conversion left; what is finished stays.")
  var resume = false

  @Option(
    help: ArgumentHelp(
      """
      Spread the experts over up to four disks: below each of these directories a volume is made, and \
      slice s of every expert goes to number s modulo their number. volumes.txt in the pack lists them.
      """, valueName: "dir1,dir2,..."))
  var stripe: String?

  @Flag(help: "Replace a finished or unfinished pack.")
  var overwrite = false

  @Flag(
    help: """
      Give the source's bytes back to the file system as soon as they are in the pack, flushed and \
      read back: the source turns into the pack, which needs about a layer of extra space. In the \
      end only an empty shell of the source is left; moepack export writes it again. Asks first.
      """)
  var consume = false

  @Flag(help: "Answer yes to what --consume asks.")
  var yes = false

  @OptionGroup var work: ThreadOptions

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    let pack: String
    let kind: String
    let layers: Int
    let sourceBytes: UInt64
    let packBytes: UInt64
    let requantizedTensors: Int
    let seconds: Double
  }

  func validate() throws {
    guard !output.isEmpty else {
      throw ValidationError("--output takes the name of a directory, found an empty one")
    }
    guard !(resume && overwrite) else {
      throw ValidationError(
        "--resume keeps what is there, --overwrite removes it; give one of them")
    }
    guard !(consume && inPlace) else {
      throw ValidationError(
        "--consume empties the source, which --in-place keeps; give one of them")
    }
    if stripe != nil {
      guard (1...PackLimits.splits).contains(stripes.count), stripes.allSatisfy({ !$0.isEmpty })
      else {
        throw ValidationError(
          "--stripe takes 1 to \(PackLimits.splits) directories with commas between, found \"\(stripe ?? "")\""
        )
      }
      guard !inPlace else {
        throw ValidationError("--in-place writes no weights to spread; give it or --stripe")
      }
      guard !consume else {
        throw ValidationError(
          "--consume makes room on the source's disk alone, --stripe needs it on others; give one of them"
        )
      }
    }
    guard consume || !yes else { throw ValidationError("--yes answers --consume; give both") }
  }

  private var stripes: [String] {
    stripe?.split(separator: ",", omittingEmptySubsequences: false).map(String.init) ?? []
  }

  func run() throws {
    try runCommand(
      "moepack",
      interruption: "nothing finished is lost: go on with the same command and --resume"
    ) {
      if resume, !mayChangeTypes, let pack = try CompletedPack.find(in: output) {
        let manifest = try pack.finish(source: file, consumesSource: consume)
        return try report(manifest, changes: 0, seconds: 0, note: "is complete")
      }
      let unfinished = resume && !mayChangeTypes ? try UnfinishedPack.find(in: output) : nil
      let source = try unfinished?.source(file) ?? openSource()
      let recipe = try choice.choose(for: source)?.recipe
      let inPlace = inPlace || recipe?.layout.isInPlace ?? false
      guard !(consume && inPlace) else {
        throw ValidationError("--consume empties the source, which the recipe wants left in place")
      }
      guard !(inPlace && stripe != nil) else {
        throw ValidationError("--stripe spreads weights, which the recipe wants left in the source")
      }
      let changed = try requantization.apply(
        to: source, recipe: choice.recipe == nil ? nil : recipe, isInPlace: inPlace,
        threads: work.threads)
      guard !(consume && changed != nil) else {
        throw ValidationError(
          "--consume gives back what the pack holds, and with other types it does not hold the source; "
            + "leave one of them out")
      }
      let writer =
        try changed.map { try PackWriter(requantization: $0, threads: work.threads) }
        ?? PackWriter(source: source, kind: inPlace ? .inPlace : .packed, threads: work.threads)
      if consume { try askToConsume(source) }
      let line = ProgressLine(inPlace ? "indexing" : "packing", total: writer.progressBytes)
      defer { line.clear() }
      let manifest: PackManifest
      do {
        manifest = try writer.write(
          to: output,
          options: .init(
            existing: resume ? .resume : overwrite ? .replace : .refuse, consumesSource: consume,
            stripe: stripes)
        ) { line.add($0) }
      } catch {
        line.clear()
        try explain(error)
        throw error
      }
      line.clear()
      try report(
        manifest, changes: changed?.changes.count ?? 0, seconds: line.seconds,
        note: inPlace ? "indexed" : "packed")
    }
  }

  /// Opens the source; where that fails since an interrupted conversion to the same place has begun to
  /// give it back, says how to go on.
  private func openSource() throws -> GGUFFile {
    do {
      return try GGUFFile.open(file)
    } catch {
      if !resume, let left = try? UnfinishedPack.find(in: output), left.consumesSource {
        Console.message(
          "moepack: \(output): \(left.summary); no program can read that source now: go on with the "
            + "same command and --resume")
      }
      throw error
    }
  }

  /// Says what an error left and how to go on, after the error itself.
  private func explain(_ error: any Error) throws {
    switch error {
    case let error as FileIOError where error.code == .inUse || error.code == .alreadyExists: return
    case let error as PackError where error.code == .wrongSource || error.code == .damaged: return
    default: break
    }
    guard let left = try? UnfinishedPack.find(in: output) else { return }
    Console.message(
      "moepack: \(output): \(left.summary); when the cause below is gone, go on with the same "
        + "command and --resume")
  }

  /// Whether what is packed may be another model than the source.
  private var mayChangeTypes: Bool { !requantization.types.isEmpty || choice.recipe != nil }

  private func report(
    _ manifest: PackManifest, changes: Int, seconds: Double, note: String
  ) throws {
    let report = Report(
      pack: output, kind: manifest.kind.rawValue,
      layers: try PackDirectory(contentsOf: output).expertLayers.count,
      sourceBytes: manifest.sources.reduce(0) { $0 + $1.bytes },
      packBytes: manifest.files.reduce(0) { $0 + $1.bytes }, requantizedTensors: changes,
      seconds: seconds)
    if json { return try Console.json(report) }
    let rate = UInt64(Double(report.sourceBytes) / max(report.seconds, 1e-3))
    let sizes = "\(ByteSize.text(report.sourceBytes)) to \(ByteSize.text(report.packBytes))"
    Console.line(
      seconds == 0
        ? "\(output): \(note), \(sizes)"
        : "\(output): \(note) \(report.layers) layers of experts, "
          + (changes > 0 ? "\(changes) tensors requantised, " : "") + "\(sizes) in "
          + "\(decimal(report.seconds, 1)) s (\(ByteSize.text(rate))/s)")
  }

  private func askToConsume(_ source: GGUFFile) throws {
    guard !yes else { return }
    let bytes = source.shards.reduce(0) { $0 + $1.fileSize }
    let names = source.shards.count == 1 ? file : "\(file) and its other shards"
    guard Console.isInteractive else {
      throw ValidationError(
        "--consume empties \(names) for good and there is no terminal to ask on; give --yes as well"
      )
    }
    Console.message(
      "moepack: --consume gives the \(ByteSize.text(bytes)) of \(names) back to the disk as they are "
        + "packed. From the first layer on the source can only be had again with moepack export, from "
        + "the finished pack.")
    guard Console.ask("Empty the source? Type yes: ") == "yes" else {
      Console.message("moepack: nothing was changed")
      throw ExitStatus.no
    }
  }
}
