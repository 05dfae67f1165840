import ArgumentParser
import CommandSupport
import Packer
import Synchronization

struct Repair: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write the damaged slices of a pack again, and nothing else.",
    discussion: """
      Verifies the pack, takes what is damaged from the GGUF that it was made from, or from another \
      copy of the pack, and verifies what it wrote. Only bytes with the checksum that the pack has for \
      their place are written, so a repair that is interrupted leaves a pack that is no worse. \
      Exit status 0 when all is whole, 1 when something could not be repaired. Example:

        moepack repair model.moepack --from model-00001-of-00005.gguf
      """)

  @Argument(help: "The pack.", completion: .directory)
  var pack: String

  @Option(
    help: "The GGUF that the pack was made from (any shard of a split one), or a copy of the pack.",
    completion: .file())
  var from: String

  @OptionGroup var work: ThreadOptions

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    let ok: Bool
    let bytes: UInt64
    let bytesWritten: UInt64
    let seconds: Double
    let repaired: [PackFinding]
    let unrepaired: [RepairReport.Remainder]
    let notes: [String]
  }

  func run() throws {
    try runCommand(
      "moepack", interruption: "the pack is no worse than it was; run the same command again"
    ) {
      let lines = StageLines()
      defer { lines.clear() }
      let start = ContinuousClock.now
      let result = try PackRepair(directory: pack, source: from, threads: work.threads).run(
        progress: .init(stage: { lines.begin($0, bytes: $1) }, add: { lines.add($0) }))
      lines.clear()
      if !result.isWhole { Console.willAnswerNo() }
      let seconds = (ContinuousClock.now - start).inSeconds
      if json {
        try Console.json(
          Report(
            ok: result.isWhole, bytes: result.bytesChecked, bytesWritten: result.bytesWritten,
            seconds: seconds, repaired: result.repaired, unrepaired: result.remaining,
            notes: result.notes))
      } else {
        show(result, seconds: seconds)
      }
      guard !result.isWhole else { return }
      throw result.remaining.contains(where: \.isSystemFailure) ? ExitStatus.failed : ExitStatus.no
    }
  }

  private func show(_ result: RepairReport, seconds: Double) {
    if !result.repaired.isEmpty {
      var table = TextTable(
        ["file", "layer", "expert", "slice", "offset", "bytes", "was"], right: [1, 2, 3, 4, 5])
      for place in result.repaired {
        func number(_ value: Int?) -> String { value.map { "\($0)" } ?? "-" }
        table.add([
          place.file, number(place.layer), number(place.expert), number(place.slice),
          "\(place.offset)", "\(place.length)", place.kind.rawValue,
        ])
      }
      Console.line(table.text)
    }
    for note in result.notes { Console.line("\(pack): \(note)") }
    for left in result.remaining {
      Console.line("\(pack): not repaired: \(left.finding.description): \(left.reason)")
    }
    let checked = "\(ByteSize.text(result.bytesChecked)) verified in \(decimal(seconds, 1)) s"
    guard result.isWhole else {
      let count = result.remaining.count
      return Console.message(
        "moepack: \(pack): \(count == 1 ? "1 place" : "\(count) places") could not be repaired, "
          + "\(result.repaired.count) were, \(ByteSize.text(result.bytesWritten)) written; give "
          + "another --from, or convert the source again")
    }
    guard !result.repaired.isEmpty else {
      return Console.line("\(pack): nothing is damaged, nothing was written, \(checked)")
    }
    let files = Set(result.repaired.map(\.file)).count
    let places = result.repaired.count == 1 ? "1 place" : "\(result.repaired.count) places"
    Console.line(
      "\(pack): whole again, \(places) in \(files == 1 ? "1 file" : "\(files) files") repaired from "
        + "\(from), \(ByteSize.text(result.bytesWritten)) written, \(checked)")
  }
}

/// A progress line for each stage of work.
private final class StageLines: Sendable {
  private let line = Mutex<ProgressLine?>(nil)

  func begin(_ title: String, bytes: UInt64) {
    line.withLock { line in
      line?.clear()
      line = ProgressLine(title, total: bytes)
    }
  }

  func add(_ bytes: UInt64) { line.withLock { $0 }?.add(bytes) }
  func clear() { line.withLock { $0 }?.clear() }
}
