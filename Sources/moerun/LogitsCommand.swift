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
    let partial = output + ".partial"
    try runCommand("moerun", interruption: "nothing was written") {
      // A pipe or device would be replaced by a file.
      _ = try File.readingIfPresent(output)
      let ids = try tokenIDs()
      let loaded = try model.load(contextLength: ids.count, besides: ids.count * 4).model
      let session = try Session(model: loaded)
      let recorder = try blocks.map { try BlockRecorder(directory: $0) }
      if let recorder {
        session.observer = { name, _, values, _ in recorder.record(name, values) }
      }
      let vocabulary = loaded.config.vocabularySize
      Interruption.removes(partial)
      let file = try File.creating(partial)
      let clock = ContinuousClock.now
      do {
        try session.evaluate(ids, logits: .all) { index, logits in
          try recorder?.check()
          try file.write(UnsafeRawBufferPointer(logits), at: UInt64(index) * UInt64(vocabulary) * 4)
        }
        try recorder?.check()
        try file.synchronize()
        try AtomicFile.rename(partial, to: output)
      } catch {
        try? FileManager.default.removeItem(atPath: partial)
        throw error
      }
      let report = PhaseReport(
        tokens: ids.count, seconds: (ContinuousClock.now - clock).inSeconds,
        store: loaded.store.statistics,
        maximumReadsInFlight: loaded.store.takeMaximumReadsInFlight())
      RunReport.print(
        [("prompt", report)], memory: MemoryReport(model: loaded, budget: model.budget),
        model: loaded)
    }
  }

  private func tokenIDs() throws -> [Int32] {
    let data = Data(try TextInput.bytes(tokens, budget: model.budget))
    guard let ids = try? JSONDecoder().decode([Int32].self, from: data), !ids.isEmpty else {
      throw FileIOError(
        .system, path: tokens, message: "expected a JSON array of token ids, as tokenize prints it")
    }
    return ids
  }
}

/// Writes what every block computes, a file a block.
///
/// Batches of a long list of tokens append to the same file. Nothing is kept in memory: the blocks
/// of a long text are larger than the model. Files are opened for each piece, since a large model
/// has more blocks than a process may have files open.
final class BlockRecorder {
  private let directory: String
  /// Bytes written so far, by name.
  private var lengths: [String: UInt64] = [:]
  /// What went wrong first; the observer that calls ``record(_:_:)`` cannot throw.
  private var failure: (any Error)?

  init(directory: String) throws {
    self.directory = directory
    do {
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
    } catch {
      throw FileIOError(.system, path: directory, message: "cannot create the directory")
    }
  }

  func record(_ name: String, _ block: UnsafeBufferPointer<Float>) {
    guard failure == nil else { return }
    do {
      let path = "\(directory)/\(name).f32"
      let offset = lengths[name] ?? 0
      let file = try offset == 0 ? File.creating(path) : File.updating(path)
      let bytes = UnsafeRawBufferPointer(block)
      try file.write(bytes, at: offset)
      lengths[name] = offset + UInt64(bytes.count)
    } catch {
      failure = error
    }
  }

  /// Throws what went wrong with writing so far.
  func check() throws {
    if let failure { throw failure }
  }
}
