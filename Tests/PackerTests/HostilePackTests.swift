import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import TestSupport
import Testing

/// Packs whose tables say what no writer says, with digests that agree.
@Suite("Hostile packs")
struct HostilePackTests {
  /// A change to a manifest that has to be refused with words of what is wrong.
  struct Forgery: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var fixture = "pack/golden.moepack/manifest.json"
    let find: String
    let replacement: String
    var code = PackError.Code.invalidManifest
    let words: String
  }

  private static let inPlace = "fuzz/manifest/in-place"
  private static let tensor =
    #"{"bytes": 36, "dimensions": [3, 3], "name": "v.patch_embd.weight", "offset": 118144, "#
    + #""resident_offset": 9728, "shard": 0, "type": "F32"}"#

  static let forgeries: [Forgery] = [
    .init(
      testDescription: "a file's path with ..", find: #""name": "resident.bin""#,
      replacement: #""name": "../resident.bin""#,
      words: "a name within the pack, found \"../resident.bin\""),
    .init(
      testDescription: "a file's path with .. inside", find: #""name": "headers/00001.gguf.zst""#,
      replacement: #""name": "headers/../../victim""#,
      words: "a name within the pack, found \"headers/../../victim\""),
    .init(
      testDescription: "an absolute path of a file", find: #""name": "resident.bin""#,
      replacement: #""name": "/etc/passwd""#, words: "a name within the pack, found \"/etc/passwd\""
    ),
    .init(
      testDescription: "a source's name with ..", find: #""name": "source.gguf""#,
      replacement: #""name": "../victim.gguf""#, words: "without directories"),
    .init(
      testDescription: "an absolute name of a source", find: #""name": "source.gguf""#,
      replacement: #""name": "/victim.gguf""#, words: "without directories"),
    .init(
      testDescription: "a source called ..", find: #""name": "source.gguf""#,
      replacement: #""name": "..""#, words: "without directories"),
    .init(
      testDescription: "a name with a zero byte", find: #""name": "source.gguf""#,
      replacement: #""name": "source.gguf\u0000""#, words: "without directories"),
    .init(
      testDescription: "a file twice", find: #""name": "resident.bin""#,
      replacement: #""name": "layer-001.experts""#, words: "\"layer-001.experts\" twice"),
    .init(
      testDescription: "a digest that is none", find: #""digest": ""#,
      replacement: #""digest": "x"#, code: .damaged, words: "32 hexadecimal digits"),
    .init(
      testDescription: "a length of 2^64", find: #""bytes": 16384, "name": "resident.bin""#,
      replacement: #""bytes": 18446744073709551616, "name": "resident.bin""#, code: .damaged,
      words: "is not a manifest"),
    .init(
      testDescription: "a length that wraps around with another",
      find: #""bytes": 16384, "name": "resident.bin""#,
      replacement: #""bytes": 18446744073709551615, "name": "resident.bin""#,
      words: "resident.bin: expected 16384 bytes from the layout"),
    .init(
      testDescription: "a header length that wraps around", find: #""header_bytes": 1288"#,
      replacement: #""header_bytes": 18446744073709551615"#, words: "header bytes"),
    .init(
      testDescription: "an archive's length that wraps around",
      find: #""bytes": 402, "name": "headers/00001.gguf.zst""#,
      replacement: #""bytes": 18446744073709551615, "name": "headers/00001.gguf.zst""#,
      words: "header bytes that it compresses"),
    .init(
      testDescription: "a tensor twice", find: tensor, replacement: tensor + ",\n  " + tensor,
      words: "differs from the manifest that the archived headers give"),
    .init(
      testDescription: "two tensors over each other", find: #""resident_offset": 9728"#,
      replacement: #""resident_offset": 9472"#,
      words: "differs from the manifest that the archived headers give"),
    .init(
      testDescription: "extents over each other", fixture: inPlace,
      find: #""offset": 47488, "role": "up", "rows""#,
      replacement: #""offset": 21376, "role": "up", "rows""#,
      words: "differs from the manifest that the archived headers give"),
    .init(
      testDescription: "an extent that wraps around", fixture: inPlace,
      find: #""offset": 47488, "role": "up", "rows""#,
      replacement: #""offset": 18446744073709551615, "role": "up", "rows""#,
      words: "differs from the manifest that the archived headers give"),
    .init(
      testDescription: "an endless path to a source", fixture: inPlace, find: "../source.gguf",
      replacement: String(repeating: "../", count: 2000) + "source.gguf",
      words: "path of 1 to 4096 bytes"),
  ]

  @Test("is refused by name", arguments: forgeries)
  func forged(_ item: Forgery) throws {
    let place = try Place()
    let text = String(
      decoding: try FileBytes.read(Fixtures.path(item.fixture)), as: UTF8.self)
    let range = try #require(text.range(of: item.find))
    let changed = text.replacingCharacters(in: range, with: item.replacement)
    try place.write(Data(ManifestTests.sign(changed).utf8), PackManifest.fileName)
    let error = #expect(throws: PackError.self) { try PackDirectory.open(place.pack) }
    #expect(error?.code == item.code, "\(String(describing: error))")
    #expect(error?.description.contains(item.words) == true, "\(String(describing: error))")
    #expect((error?.description.utf8.count ?? 0) < 1000)
    try place.expectNothingElseTouched()
  }

  /// The golden pack, and a file beside it that nobody may write.
  private struct Place {
    let directory: TemporaryDirectory
    let pack: String
    let victim: String
    private let precious = Data("precious".utf8)

    init() throws {
      directory = try TemporaryDirectory()
      pack = directory.file("pack.moepack")
      victim = directory.file("victim")
      try FileManager.default.copyItem(atPath: Fixtures.path("pack/golden.moepack"), toPath: pack)
      try precious.write(to: URL(filePath: victim))
    }

    func write(_ data: Data, _ name: String) throws {
      try data.write(to: URL(filePath: pack + "/" + name))
    }

    /// Verifies and repairs, and looks at what lies beside the pack.
    func expectNothingElseTouched() throws {
      let source = Fixtures.path("pack/source.gguf")
      #expect(try !PackVerifier(directory: pack, threads: 1).verify { _ in }.findings.isEmpty)
      _ = try? PackRepair(directory: pack, source: source, threads: 1).run(
        progress: .init(stage: { _, _ in }, add: { _ in }))
      #expect(try FileBytes.read(victim) == precious)
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() == [
          "pack.moepack", "victim",
        ])
    }
  }

  @Test(
    "a symbolic link out of the pack is read as what it is, and never written through",
    arguments: ["resident.bin", "layer-000.experts", "checksums.xxh3", "headers/00001.gguf.zst"])
  func links(name: String) throws {
    let place = try Place()
    try FileManager.default.removeItem(atPath: place.pack + "/" + name)
    try FileManager.default.createSymbolicLink(
      atPath: place.pack + "/" + name, withDestinationPath: place.victim)
    let error = #expect(throws: PackError.self) { try PackDirectory.open(place.pack) }
    #expect(error?.code == .wrongLength && error?.path == place.pack + "/" + name)
    try place.expectNothingElseTouched()
    // What is no regular file is not waited for.
    try? FileManager.default.removeItem(atPath: place.pack + "/" + name)
    try FileManager.default.createSymbolicLink(
      atPath: place.pack + "/" + name, withDestinationPath: "/dev/zero")
    #expect(throws: FileIOError.self) { try PackDirectory.open(place.pack) }
  }

  @Test("each of 60,000 files that are not there is named, in a time that grows with their number")
  func missingFiles() throws {
    let place = try Place()
    let text = String(
      decoding: try FileBytes.read(place.pack + "/" + PackManifest.fileName), as: UTF8.self)
    let files = (0..<60_000).map {
      #"{"bytes": 1, "name": "f\#($0)", "xxh3_128": "d498cae8a827cc81e9cd59948e79763a"}"#
    }
    let changed = text.replacing(
      "\"files\": [", with: "\"files\": [" + files.joined(separator: ",") + ",", maxReplacements: 1)
    try place.write(Data(ManifestTests.sign(changed).utf8), PackManifest.fileName)
    var start = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start)
    let report = try PackRepair(
      directory: place.pack, source: Fixtures.path("pack/source.gguf"), threads: 1
    ).run(progress: .init(stage: { _, _ in }, add: { _ in }))
    var end = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
    // A search through all of them for each took 20 times as long.
    #expect(end.tv_sec - start.tv_sec < 10)
    #expect(report.remaining.count { $0.finding.kind == .missing } >= 60_000)
    #expect(report.bytesWritten == 0)
  }

  @Test("a journal that names sources elsewhere gives nothing of them back")
  func journalNames() throws {
    let place = try Place()
    let text = try String(
      contentsOfFile: Fixtures.path("fuzz/journal/call-43"), encoding: .utf8)
    for name in ["../victim", "/victim", "..", ""] {
      let content = text.replacingOccurrences(of: #""consumes":false"#, with: #""consumes":true"#)
        .replacingOccurrences(of: #""name":"source.gguf""#, with: #""name":"\#(name)""#)
      #expect(content != text)
      let digest = Array(content.utf8).withUnsafeBytes { XXH3.hash128($0) }
      try place.write(
        Data("moepack conversion journal 1, xxh3-128 \(digest)\n\(content)".utf8),
        PackJournal.fileName)
      try? FileManager.default.removeItem(atPath: place.pack + "/" + PackManifest.fileName)
      let found = try #require(try UnfinishedPack.find(in: place.pack))
      let error = #expect(throws: PackError.self) {
        try found.source(place.directory.path + "/" + (name.isEmpty ? "x" : name))
      }
      #expect(
        error?.code == .wrongSource || error?.code == .damaged, "\(String(describing: error))")
      #expect(try FileBytes.read(place.victim) == Data("precious".utf8))
    }
  }
}
