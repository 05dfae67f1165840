import ArgumentParser
import CommandSupport
import ExpertPack
import GGUF
import Packer
import Quantizers

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Read all of a pack and name every damaged slice.",
    discussion: """
      Checks manifest, headers, checksum table, every slice of every expert, padding included, and \
      every block of the resident weights. Exit status 1 when anything is damaged. With --against \
      the content is also compared with a GGUF, byte for byte; the original of a pack whose types were \
      changed is requantised for it.
      """)

  @Argument(help: "The pack.", completion: .directory)
  var pack: String

  @Option(
    help: "Compare with this GGUF; any shard of a split one.",
    completion: .file(extensions: ["gguf"]))
  var against: String?

  @Option(
    help:
      "The importance matrix that a pack of changed types was made with, to compare these tensors too.",
    completion: .file(extensions: ["gguf"]))
  var imatrix: String?

  @OptionGroup var work: ThreadOptions

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    let ok: Bool
    let bytes: UInt64
    let checkedSlices: Int
    let seconds: Double
    let findings: [PackFinding]
  }

  func validate() throws {
    guard imatrix == nil || against != nil else {
      throw ValidationError("--imatrix serves a comparison; give --against as well")
    }
  }

  /// What to do about what was found in the pack itself.
  private func nextStep(_ findings: [PackFinding]) -> String {
    if findings.isEmpty {
      return "the pack is intact, the other file is another model or has changed"
    }
    if findings.contains(where: { $0.kind == .unfinished }) {
      return "what is there stays as it is when convert goes on"
    }
    // Of other types than the source's, so that only another such pack has the bytes.
    let hasOtherTypes = (try? PackManifest.load(directory: pack))?.requantized != nil
    let source = hasOtherTypes ? "COPY" : "GGUF"
    return "moepack repair \(pack) --from \(source) writes what was damaged again"
  }

  func run() throws {
    try runCommand("moepack") {
      let line = ProgressLine("verifying")
      defer { line.clear() }
      let result = try PackVerifier(directory: pack, threads: work.threads).verify(
        willRead: { line.setTotal($0) }, progress: { line.add($0) })
      var findings = result.findings
      var comparison: String?
      if let against, findings.isEmpty {
        (findings, comparison) = try compare(with: against)
      }
      line.clear()
      let seconds = line.seconds
      if !findings.isEmpty { Console.willAnswerNo() }
      if json {
        try Console.json(
          Report(
            ok: findings.isEmpty, bytes: result.bytes, checkedSlices: result.checkedSlices,
            seconds: seconds, findings: findings))
      } else {
        for finding in findings { Console.line("\(pack): \(finding.description)") }
        let rate = UInt64(Double(result.bytes) / max(seconds, 1e-3))
        let amount =
          "\(ByteSize.text(result.bytes)) in \(decimal(seconds, 1)) s (\(ByteSize.text(rate))/s)"
        if findings.isEmpty {
          Console.line(
            "\(pack): intact, \(result.checkedSlices) slices and blocks checked, \(amount)"
              + (comparison.map { "; \($0)" } ?? ""))
        } else {
          let places = findings.count == 1 ? "1 place" : "\(findings.count) places"
          Console.message(
            "moepack: \(pack): \(places) damaged or different, \(amount) read; "
              + nextStep(result.findings))
        }
      }
      if !findings.isEmpty { throw ExitStatus.no }
    }
  }

  /// Compares, and says in words what an equal content is equal to.
  private func compare(with path: String) throws -> ([PackFinding], String) {
    let opened = try PackDirectory.open(pack)
    guard opened.manifest.kind == .packed else {
      throw PackError(
        .unsupportedSource, path: pack,
        "is an in-place pack, which holds no weights to compare; --against needs a packed one")
    }
    let line = ProgressLine(
      "comparing", total: opened.source.tensors.reduce(0) { $0 + $1.byteCount })
    defer { line.clear() }
    let other = try GGUFFile.open(path)
    let importance = try imatrix.map { try ImportanceMatrix(contentsOf: $0) }
    // The model as an export gives it says the same of its origin.
    guard let change = opened.manifest.requantized, TypeChange(other.metadata) != change else {
      let comparison = SourceComparison(pack: opened, other: other, threads: work.threads)
      return (try comparison.findings { line.add($0) }, "content is that of \(path)")
    }
    let comparison = try SourceComparison(
      pack: opened, change: change, original: other, importance: importance, threads: work.threads)
    let rules = change.rules.joined(separator: ", ")
    var text = "types were changed (\(rules)); content is that of \(path), requantised"
    if comparison.skippedTensors > 0 {
      let matrix = change.importance_matrix?.name ?? ""
      text =
        "types were changed (\(rules)); other tensors are those of \(path); "
        + "\(comparison.skippedTensors) that changed are not compared, give --imatrix \(matrix) for them"
    }
    return (try comparison.findings { line.add($0) }, text)
  }
}
