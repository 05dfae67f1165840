import ArgumentParser
import CommandSupport
import ExpertPack
import GGUF
import Packer

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Read all of a pack and name every damaged slice.",
    discussion: """
      Checks manifest, headers, checksum table, every slice of every expert, padding included, and \
      every block of the resident weights. Exit status 1 when anything is damaged. With --against \
      the content is also compared with a GGUF, byte for byte.
      """)

  @Argument(help: "The pack.", completion: .directory)
  var pack: String

  @Option(
    help: "Compare with this GGUF; any shard of a split one.",
    completion: .file(extensions: ["gguf"]))
  var against: String?

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

  func run() throws {
    try runCommand("moepack") {
      let line = ProgressLine("verifying")
      defer { line.clear() }
      let result = try PackVerifier(directory: pack, threads: work.threads).verify(
        willRead: { line.setTotal($0) }, progress: { line.add($0) })
      var findings = result.findings
      if let against, findings.isEmpty {
        findings = try compare(with: against)
      }
      line.clear()
      let seconds = line.seconds
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
              + (against.map { "; content is that of \($0)" } ?? ""))
        } else {
          let places = findings.count == 1 ? "1 place" : "\(findings.count) places"
          Console.message(
            "moepack: \(pack): \(places) damaged or different, \(amount) read; convert the source "
              + "again with --overwrite, or restore the file")
        }
      }
      if !findings.isEmpty { throw ExitStatus.no }
    }
  }

  private func compare(with path: String) throws -> [PackFinding] {
    let opened = try PackDirectory.open(pack)
    guard opened.manifest.kind == .packed else {
      throw PackError(
        .unsupportedSource, path: pack,
        "is an in-place pack, which holds no weights to compare; --against needs a packed one")
    }
    let line = ProgressLine(
      "comparing", total: opened.source.tensors.reduce(0) { $0 + $1.byteCount })
    defer { line.clear() }
    return try SourceComparison(
      pack: opened, other: try GGUFFile.open(path), threads: work.threads
    ).findings { line.add($0) }
  }
}
