import ArgumentParser
import CommandSupport
import ExpertStore
import FileIO
#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
import Generation
import ModelGraph

struct LogitsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logits",
    abstract: "Write the logits of every position of a list of tokens.",
    discussion: """
      The output is float32, little-endian, tokens x vocabulary, row-major. With --blocks the \
      output of every block of the graph is written too, one NAME-LAYER.f32 each, to compare with \
      another engine.
      """)

  @OptionGroup var model: RunOptions

  @Option(help: "A file with a JSON array of token ids.", completion: .file(extensions: ["json"]))
  var tokens: String

  @Option(name: .shortAndLong, help: "The file to write.")
  var output: String

  @Option(help: "A directory for the output of every block.", completion: .directory)
  var blocks: String?

  func run() throws {
    try runCommand("moerun") {
      let ids = try tokenIDs()
      let loaded = try model.load(contextLength: ids.count).model
      let session = try Session(model: loaded)
      let recorder = try blocks.map { try BlockRecorder(directory: $0) }
      if let recorder {
        session.observer = { name, _, values, _ in recorder.record(name, values) }
      }
      let vocabulary = loaded.config.vocabularySize
      let partial = output + ".partial"
      let file = try File.creating(partial)
      let clock = ContinuousClock.now
      try session.evaluate(ids, logits: .all) { index, logits in
        try file.write(UnsafeRawBufferPointer(logits), at: UInt64(index) * UInt64(vocabulary) * 4)
      }
      try file.synchronize()
      try AtomicFile.rename(partial, to: output)
      try recorder?.finish()
      let report = PhaseReport(
        tokens: ids.count, seconds: (ContinuousClock.now - clock).inSeconds,
        store: loaded.store.statistics)
      Console.message(
        RunReport.line(
          phases: ["prompt \(RunReport.rate(report))"], expertsRead: report.expertsRead,
          expertsRequested: report.expertsRequested, bytes: report.bytesRead,
          stall: report.stallSeconds, memory: MemoryReport(model: loaded, budget: model.budget)))
    }
  }

  private func tokenIDs() throws -> [Int32] {
    let data = Data(try TextInput.bytes(tokens))
    guard let ids = try? JSONDecoder().decode([Int32].self, from: data), !ids.isEmpty else {
      throw FileIOError(
        .system, path: tokens, message: "expected a JSON array of token ids, as tokenize prints it")
    }
    return ids
  }
}

/// Collects what every block computes and writes a file a block.
///
/// Batches of a long list of tokens append to the same block.
final class BlockRecorder {
  private let directory: String
  private var values: [String: [Float]] = [:]

  init(directory: String) throws {
    self.directory = directory
    do {
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
    } catch {
      throw FileIOError(.system, path: directory, message: "cannot create the directory: \(error)")
    }
  }

  func record(_ name: String, _ block: UnsafeBufferPointer<Float>) {
    values[name, default: []].append(contentsOf: block)
  }

  /// Writes the files.
  func finish() throws {
    for (name, block) in values {
      let file = try File.creating("\(directory)/\(name).f32")
      try block.withUnsafeBytes { try file.write($0, at: 0) }
    }
  }
}
