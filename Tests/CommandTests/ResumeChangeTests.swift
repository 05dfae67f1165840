import FileIO
import Foundation
import TestSupport
import Testing

@Suite("Sources that somebody else writes to, and targets that are no place for results")
struct ResumeChangeTests {
  /// A copy of the fixture of which part has been packed.
  private static func interrupted(
    in directory: TemporaryDirectory, _ options: [String] = []
  ) throws -> (source: String, pack: String) {
    let (source, pack) = (directory.file("model.gguf"), directory.file("model.moepack"))
    for milliseconds in stride(from: 20, to: 400, by: 5) {
      try? FileManager.default.removeItem(atPath: pack)
      try? FileManager.default.removeItem(atPath: source)
      try FileManager.default.copyItem(atPath: Fixtures.checkpoint, toPath: source)
      let process = Binary.moepack.process(["convert", source, "-o", pack] + options)
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      usleep(UInt32(milliseconds) * 1000)
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      let again = try Binary.moepack.run(["convert", source, "-o", pack] + options)
      // A pack has claims while its source is whole; one that is given back begins with nothing, which is what
      // a caller who consumes waits for.
      let isGivenBack = again.errors.contains("magic")
      let isBegun = again.errors.contains(" done") || isGivenBack
      if again.status == 2, options.isEmpty ? isBegun : isGivenBack { return (source, pack) }
    }
    Issue.record("no conversion was interrupted between its first claim and its end")
    return (source, pack)
  }

  private static func flipByte(_ path: String, at offset: UInt64) throws {
    let handle = try FileHandle(forUpdating: URL(filePath: path))
    try handle.seek(toOffset: offset)
    let byte = try #require(try handle.read(upToCount: 1)?.first)
    try handle.seek(toOffset: offset)
    try handle.write(contentsOf: Data([byte ^ 1]))
    try handle.close()
  }

  @Test("a source that has been written to since is not gone on with")
  func changed() throws {
    let directory = try TemporaryDirectory()
    let (source, pack) = try Self.interrupted(in: directory)
    try Self.flipByte(source, at: 20_000_000)
    let resumed = try Binary.moepack.run(["convert", source, "-o", pack, "--resume"])
    #expect(resumed.status == 2 && resumed.errors.contains("has been written to since"))
    let anew = try Binary.moepack.run(["convert", source, "-o", pack, "--overwrite"])
    #expect(anew.status == 0, "\(anew.errors)")
    #expect(try Binary.moepack.run(["verify", pack, "--against", source]).status == 0)
  }

  @Test("a source that is written to while its types are changed gives no pack")
  func changedWithTypes() throws {
    let directory = try TemporaryDirectory()
    let (source, pack) = (directory.file("model.gguf"), directory.file("model.moepack"))
    try FileManager.default.copyItem(atPath: Fixtures.checkpoint, toPath: source)
    let arguments = ["convert", source, "-o", pack, "--type", "ffn_*_exps=q4_k"]
    let process = Binary.moepack.process(arguments)
    let errors = Pipe()
    process.standardOutput = FileHandle.nullDevice
    process.standardError = errors
    try process.run()
    // The original has been digested and the journal begun: the encoding starts.
    while process.isRunning, !FileManager.default.fileExists(atPath: pack + "/resident.bin") {
      usleep(500)
    }
    try Self.flipByte(source, at: 20_000_000)
    let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 2 && text.contains("was written to while"), "\(text)")
    #expect(!FileManager.default.fileExists(atPath: pack + "/manifest.json"))
    let resumed = try Binary.moepack.run(arguments + ["--resume"])
    #expect(resumed.status == 2, "\(resumed.errors)")
    let anew = try Binary.moepack.run(arguments + ["--overwrite"])
    #expect(anew.status == 0, "\(anew.errors)")
  }

  @Test("what a source has given back is not overwritten, and goes on")
  func consumed() throws {
    let directory = try TemporaryDirectory()
    let options = ["--consume", "--yes"]
    let (source, pack) = try Self.interrupted(in: directory, options)
    let over = try Binary.moepack.run([
      "convert", Fixtures.checkpoint, "-o", pack, "--overwrite",
    ])
    #expect(over.status == 2 && over.errors.contains("only copy"), "\(over.errors)")
    let anew = try Binary.moepack.run(["convert", source, "-o", pack] + options)
    #expect(anew.status == 2 && anew.errors.contains("go on with the same command and --resume"))
    let verified = try Binary.moepack.run(["verify", pack])
    #expect(verified.status == 1 && verified.output.contains("again with --resume"))
    #expect(!verified.errors.contains("moepack repair"), "\(verified.errors)")
    let resumed = try Binary.moepack.run(["convert", source, "-o", pack, "--resume"] + options)
    #expect(resumed.status == 0, "\(resumed.errors)")
    let finished = try Binary.moepack.run([
      "convert", Fixtures.checkpoint, "-o", pack, "--overwrite",
    ])
    #expect(finished.status == 2 && finished.errors.contains("only copy"), "\(finished.errors)")
    let out = directory.file("out.gguf")
    #expect(try Binary.moepack.run(["export", pack, "-o", out]).status == 0)
    #expect(try FileBytes.read(out) == FileBytes.read(Fixtures.checkpoint))
  }

  @Test("a source with two names is not consumed")
  func hardLinked() throws {
    let directory = try TemporaryDirectory()
    let (source, other) = (directory.file("model.gguf"), directory.file("other.gguf"))
    try FileManager.default.copyItem(atPath: Fixtures.checkpoint, toPath: source)
    try FileManager.default.linkItem(atPath: source, toPath: other)
    let pack = directory.file("model.moepack")
    let arguments = ["convert", source, "-o", pack, "--consume", "--yes"]
    let refused = try Binary.moepack.run(arguments)
    #expect(refused.status == 2 && refused.errors.contains("hard links"), "\(refused.errors)")
    #expect(!FileManager.default.fileExists(atPath: pack))
    #expect(try FileBytes.read(other) == FileBytes.read(Fixtures.checkpoint))
    try FileManager.default.removeItem(atPath: other)
    #expect(try Binary.moepack.run(arguments).status == 0)
  }

  @Test(
    "an export replaces no pipe and nothing in its pack; damage is a status of 1 to a closed reader"
  )
  func targets() throws {
    let directory = try TemporaryDirectory()
    let (pack, pipe) = (directory.file("model.moepack"), directory.file("pipe"))
    #expect(try Binary.moepack.run(["convert", Fixtures.checkpoint, "-o", pack]).status == 0)
    #expect(mkfifo(pipe, 0o600) == 0)
    for (target, reason) in [
      (pipe, "no regular file"), (pack + "/resident.bin", "lies in the pack"),
      (pack + "/headers/x.gguf", "lies in the pack"),
    ] {
      let outcome = try Binary.moepack.run(["export", pack, "-o", target, "--overwrite"])
      #expect(outcome.status == 2 && outcome.errors.contains(reason), "\(outcome.errors)")
    }
    try Self.flipByte(pack + "/layer-002.experts", at: 4096)
    let reader = Pipe()
    let process = Binary.moepack.process(["verify", pack])
    process.standardOutput = reader.fileHandleForWriting
    process.standardError = FileHandle.nullDevice
    try reader.fileHandleForReading.close()
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 1)
  }
}
