internal import ExpertPack
internal import FileIO
internal import GGUF
internal import Packer

/// Does with a pack what programs do with one that they were given.
///
/// Anything but a named error is a finding.
package func exercise(pack: String, source: String) {
  expectNamed {
    let opened = try PackDirectory.open(pack)
    for layer in opened.expertLayers {
      for expert in Set([0, layer.expertCount - 1]) {
        _ = opened.placement(layer: layer.layer, expert: expert)
      }
    }
  }
  expectNamed {
    let report = try PackVerifier(directory: pack, threads: 1).verify { _ in }
    for finding in report.findings {
      precondition(!finding.description.isEmpty)
    }
  }
  expectNamed {
    let report = try PackRepair(directory: pack, source: source, threads: 1).run(
      progress: .init(stage: { _, _ in }, add: { _ in }))
    if report.isWhole { _ = try PackDirectory.open(pack) }
  }
}

/// Runs `body`; an error that is none of the project's is a finding.
package func expectNamed(_ body: () throws -> Void) {
  do { try body() } catch {
    precondition(
      error is PackError || error is FileIOError || error is GGUFError,
      "not an error of the project: \(error)")
    precondition("\(error)".utf8.count < 16384, "an error of \("\(error)".utf8.count) bytes")
  }
}
