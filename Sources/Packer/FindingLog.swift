internal import Synchronization

/// Collects findings from several threads.
final class FindingLog: Sendable {
  private struct State {
    var findings: [PackFinding] = []
    var bytes: UInt64 = 0
    var checked = 0
  }
  private let state = Mutex(State())

  func add(_ finding: PackFinding?) {
    guard let finding else { return }
    state.withLock { $0.findings.append(finding) }
  }

  func didRead(_ bytes: UInt64) { state.withLock { $0.bytes += bytes } }
  func didCheck() { state.withLock { $0.checked += 1 } }

  var isEmpty: Bool { state.withLock { $0.findings.isEmpty } }
  func names(_ file: String) -> Bool { count(of: file) > 0 }
  /// Removes the finding about all of `file` when its damaged places have been named.
  func removeWholeFile(_ file: String) {
    state.withLock { state in
      let isWhole = { (finding: PackFinding) in finding.file == file && finding.coversFile }
      guard state.findings.contains(where: { $0.file == file && !isWhole($0) }) else { return }
      state.findings.removeAll(where: isWhole)
    }
  }
  func count(of file: String) -> Int {
    state.withLock { $0.findings.count { $0.file == file } }
  }

  /// All findings, by file and offset.
  var report: PackVerifier.Report {
    state.withLock { state in
      PackVerifier.Report(
        bytes: state.bytes,
        findings: state.findings.sorted { ($0.file, $0.offset) < ($1.file, $1.offset) },
        checkedSlices: state.checked)
    }
  }
}
