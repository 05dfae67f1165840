import Foundation
import TestSupport
import Testing

@Suite("A conversion that is killed", .serialized)
struct KillTests {
  @Test("never leaves a pack that opens but is wrong, and converting again succeeds")
  func killAnywhere() throws {
    let directory = try TemporaryDirectory()
    let whole = directory.file("whole.moepack")
    // The shortest of three: the first one may have to bring the source into the page cache.
    var duration = Duration.seconds(3600)
    for _ in 0..<3 {
      let start = ContinuousClock.now
      let outcome = try Binary.moepack.run([
        "convert", Fixtures.checkpoint, "-o", whole, "--overwrite",
      ])
      #expect(outcome.status == 0, "\(outcome.errors)")
      duration = min(duration, ContinuousClock.now - start)
    }
    let microseconds = duration / .microseconds(1)

    var random = RandomBytes(seed: 11)
    let pack = directory.file("killed.moepack")
    var unfinished = 0
    for round in 0..<50 {
      // Every fifth round starts from nothing, the others from what the last kill left.
      if round % 5 == 0 { try? FileManager.default.removeItem(atPath: pack) }
      let process = Binary.moepack.process([
        "convert", Fixtures.checkpoint, "-o", pack, "--overwrite",
      ])
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      usleep(UInt32(Double.random(in: 0..<1.1 * microseconds, using: &random)))
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      let outcome = try Binary.moepack.run(["verify", pack])
      if outcome.status == 0 {
        try expectSame(pack, whole)
      } else {
        unfinished += 1
        let text = outcome.output + outcome.errors
        #expect(
          text.contains("unfinished") || text.contains("manifest.json") || outcome.status == 2)
        let open = try Binary.moepack.run(["export", pack, "-o", directory.file("no.gguf")])
        #expect(open.status == 2, "round \(round): \(open.output)")
      }
    }
    // Kills that all came too late or too early would show nothing.
    #expect(unfinished >= 10)
    #expect(
      try Binary.moepack.run(["convert", Fixtures.checkpoint, "-o", pack, "--overwrite"]).status
        == 0)
    #expect(try Binary.moepack.run(["verify", pack]).status == 0)
    try expectSame(pack, whole)
  }

  @Test("an unfinished pack is reported, finished with --resume, and then kept")
  func again() throws {
    let directory = try TemporaryDirectory()
    let pack = directory.file("a.moepack")
    let process = Binary.moepack.process(["convert", Fixtures.checkpoint, "-o", pack])
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    while !FileManager.default.fileExists(atPath: pack + "/layer-001.experts"), process.isRunning {
      usleep(200)
    }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    let names = try FileBytes.files(below: pack)
    let reported = try Binary.moepack.run(["convert", Fixtures.checkpoint, "-o", pack])
    #expect(reported.status == 2 && reported.errors.contains("holds an unfinished pack: "))
    #expect(reported.errors.contains("--resume") && reported.errors.contains("--overwrite"))
    #expect(try FileBytes.files(below: pack) == names)
    let resumed = try Binary.moepack.run(["convert", Fixtures.checkpoint, "-o", pack, "--resume"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    let refused = try Binary.moepack.run(["convert", Fixtures.checkpoint, "-o", pack])
    #expect(refused.status == 2 && refused.errors.contains("--overwrite"))
    #expect(try Binary.moepack.run(["verify", pack]).status == 0)
  }

  @Test("with all standard streams closed, writes no message into its files")
  func closedStreams() throws {
    let directory = try TemporaryDirectory()
    for round in 0..<5 {
      let pack = directory.file("\(round).moepack")
      let shell = Process()
      shell.executableURL = URL(filePath: "/bin/sh")
      shell.arguments = [
        "-c", "exec \"$0\" convert \"$1\" -o \"$2\" <&- >&- 2>&-", Binary.moepack.path,
        Fixtures.checkpoint, pack,
      ]
      try shell.run()
      while !FileManager.default.fileExists(atPath: pack + "/layer-001.experts"), shell.isRunning {
        usleep(200)
      }
      kill(shell.processIdentifier, SIGTERM)
      shell.waitUntilExit()
      for name in try FileBytes.files(below: pack) {
        let content = try FileBytes.read(pack + "/" + name)
        #expect(content.range(of: Data("interrupted".utf8)) == nil, "\(name)")
      }
    }
  }

  private func expectSame(_ one: String, _ other: String) throws {
    let names = try FileBytes.files(below: other)
    #expect(try FileBytes.files(below: one).filter { !$0.hasPrefix("convert.journal") } == names)
    for name in names {
      #expect(try FileBytes.read(one + "/" + name) == FileBytes.read(other + "/" + name), "\(name)")
    }
  }
}
