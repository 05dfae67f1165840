import Foundation
import TestSupport
import Testing

@Suite("moepack convert --stripe on the command line", .serialized)
struct StripeCommandTests {
  /// Directories as disks would be mounted.
  private static func disks(_ count: Int, in directory: TemporaryDirectory) throws -> String {
    let paths = (1...count).map { directory.file("disk-\($0)") }
    for path in paths {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }
    return paths.joined(separator: ",")
  }

  @Test("a striped pack generates the same text")
  func sameText() throws {
    let directory = try TemporaryDirectory()
    let disks = try Self.disks(3, in: directory)
    let plain = directory.file("plain.moepack")
    let striped = directory.file("striped.moepack")
    for arguments in [["-o", plain], ["-o", striped, "--stripe", disks]] {
      let outcome = try Binary.moepack.run(["convert", Fixtures.checkpoint] + arguments)
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
    let texts = try [plain, striped].map { pack in
      let outcome = try Binary.moerun.run([
        "generate", pack, "-p", "The sea was calm", "-n", "24", "--memory", "80MiB", "--no-warm",
      ])
      #expect(outcome.status == 0, "\(outcome.errors)")
      return outcome.output
    }
    #expect(texts[0] == texts[1] && texts[0].count > 20)
    let file = directory.file("disk-2/striped.moepack.volume-2/layer-003.experts")
    for offset in stride(from: 0, to: try FileBytes.size(file), by: 4096) {
      try FileBytes.flipBit(file, offset: offset, bit: 1)
    }
    let broken = try Binary.moerun.run([
      "generate", striped, "-p", "The sea was calm", "-n", "24", "--memory", "80MiB",
    ])
    #expect(broken.status == 2 && broken.errors.contains("volume-2/layer-003.experts"))
  }

  @Test("killed at any moment it goes on with --resume, and reports its volumes")
  func killed() throws {
    let directory = try TemporaryDirectory()
    let disks = try Self.disks(3, in: directory)
    func arguments(_ pack: String) -> [String] {
      ["convert", Fixtures.checkpoint, "-o", directory.file(pack), "--stripe", disks]
    }
    let start = ContinuousClock.now
    #expect(try Binary.moepack.run(arguments("whole.moepack")).status == 0)
    let microseconds = (ContinuousClock.now - start) / .microseconds(1)
    var random = RandomBytes(seed: 3)
    let pack = directory.file("killed.moepack")
    var unfinished = 0
    func removePack() throws {
      try FileManager.default.removeItem(atPath: pack)
      for disk in disks.split(separator: ",") {
        for name in try FileManager.default.contentsOfDirectory(atPath: String(disk))
        where name.hasPrefix("killed") {
          try FileManager.default.removeItem(atPath: "\(disk)/\(name)")
        }
      }
    }
    // How many of these moments come before the end depends on what else the machine does.
    for _ in 0..<80 where unfinished < 12 {
      let process = Binary.moepack.process(arguments("killed.moepack") + ["--resume"])
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      usleep(UInt32(Double.random(in: 0..<1.1 * microseconds, using: &random)))
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      guard try Binary.moepack.run(["verify", pack]).status != 0 else {
        try removePack()
        continue
      }
      unfinished += 1
      let again = try Binary.moepack.run(arguments("killed.moepack"))
      if again.status == 2, again.errors.contains("unfinished pack"),
        !again.errors.contains("nothing of it is finished")
      {
        #expect(again.errors.contains("in 3 volumes"), "\(again.errors)")
      }
      // Every fourth time what is there is replaced.
      guard unfinished % 4 == 0 else { continue }
      #expect(try Binary.moepack.run(arguments("killed.moepack") + ["--overwrite"]).status == 0)
      try removePack()
    }
    #expect(unfinished >= 4)
    let last = try Binary.moepack.run(arguments("killed.moepack") + ["--resume"])
    #expect(last.status == 0, "\(last.errors)")
    #expect(try Binary.moepack.run(["verify", pack]).status == 0)
    for name in try FileBytes.files(below: directory.path) where name.contains("whole.moepack") {
      guard !name.hasSuffix("volumes.txt") else { continue }
      let other = name.replacing("whole.moepack", with: "killed.moepack")
      #expect(
        try FileBytes.read(directory.file(name)) == FileBytes.read(directory.file(other)),
        "\(name)")
    }
  }

  @Test("wrong use is refused with the reason")
  func usage() throws {
    let directory = try TemporaryDirectory()
    let pack = directory.file("no.moepack")
    for (arguments, status, message) in [
      (["--stripe", "a,b,c,d,e"], Int32(64), "1 to 4 directories"),
      (["--stripe", "a,"], 64, "1 to 4 directories"),
      (["--stripe", directory.path, "--in-place"], 64, "--in-place writes no weights"),
      (["--stripe", directory.path, "--consume"], 64, "--consume makes room"),
      (["--stripe", directory.file("unmounted")], 2, "no such directory"),
      (["--stripe", "\(directory.path),\(directory.path)/."], 2, "is the same directory as"),
    ] {
      let outcome = try Binary.moepack.run(
        ["convert", Fixtures.checkpoint, "-o", pack] + arguments)
      #expect(outcome.status == status && outcome.errors.contains(message), "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: pack))
    }
  }
}
