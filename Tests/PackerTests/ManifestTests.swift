import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import Quantizers
import Recipes
import TestSupport
import Tensors
import Testing

/// A manifest whose digest is right and whose content is not what a writer would write.
struct ForgedManifest: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let find: String
  let replacement: String
  let code: PackError.Code
}

@Suite("Manifest")
struct ManifestTests {
  static let forgeries: [ForgedManifest] = [
    .init(
      testDescription: "newer version", find: "\"version\": 1", replacement: "\"version\": 4",
      code: .unsupportedVersion),
    .init(
      testDescription: "version 0", find: "\"version\": 1", replacement: "\"version\": 0",
      code: .unsupportedVersion),
    .init(
      testDescription: "version 2 without what it brought", find: "\"version\": 1",
      replacement: "\"version\": 2", code: .invalidManifest),
    .init(
      testDescription: "a change of types that the header does not tell", find: "\"splits\": 4",
      replacement: "\"requantized\": {\"rules\": [], \"sources\": []},\n \"splits\": 4",
      code: .invalidManifest),
    .init(
      testDescription: "version of striped packs without volumes", find: "\"version\": 1",
      replacement: "\"version\": 3", code: .invalidManifest),
    .init(
      testDescription: "volumes in a pack that is not striped", find: "\"version\": 1",
      replacement: "\"version\": 1,\n \"volumes\": [\"00000000000000000000000000000000\"]",
      code: .invalidManifest),
    .init(
      testDescription: "no volumes in a list", find: "\"version\": 1",
      replacement: "\"version\": 3,\n \"volumes\": []", code: .invalidManifest),
    .init(
      testDescription: "volumes with other ids", find: "\"version\": 1",
      replacement: "\"version\": 3,\n \"volumes\": [\"00000000000000000000000000000000\"]",
      code: .invalidManifest),
    .init(
      testDescription: "other format", find: "\"format\": \"moepack\"",
      replacement: "\"format\": \"zip\"", code: .notAPack),
    .init(
      testDescription: "unknown member", find: "\"splits\": 4",
      replacement: "\"reserved\": 0,\n \"splits\": 4", code: .invalidManifest),
    .init(
      testDescription: "other stride", find: "\"stride\": 65536", replacement: "\"stride\": 131072",
      code: .invalidManifest),
    .init(
      testDescription: "other offset in the slice", find: "\"offset\": 2176",
      replacement: "\"offset\": 2177", code: .invalidManifest),
    .init(
      testDescription: "name that leaves the directory", find: "\"name\": \"resident.bin\"",
      replacement: "\"name\": \"../resident.bin\"", code: .invalidManifest),
    .init(
      testDescription: "missing file", find: "resident.bin", replacement: "resident.bit",
      code: .invalidManifest),
    .init(
      testDescription: "absurd header length", find: "\"header_bytes\": ",
      replacement: "\"header_bytes\": 99999999999", code: .invalidManifest),
    .init(
      testDescription: "source of another length", find: "{\"bytes\": 118208, \"header_bytes\"",
      replacement: "{\"bytes\": 118209, \"header_bytes\"", code: .invalidManifest),
    .init(
      testDescription: "packed pretends to be in place", find: "\"kind\": \"packed\"",
      replacement: "\"kind\": \"in_place\"", code: .invalidManifest),
    .init(
      testDescription: "unknown kind", find: "\"kind\": \"packed\"",
      replacement: "\"kind\": \"other\"", code: .invalidManifest),
    .init(
      testDescription: "path to a source of a packed directory", find: "\"name\": \"source.gguf\"",
      replacement: "\"name\": \"source.gguf\", \"path\": \"/etc/passwd\"", code: .invalidManifest),
    .init(
      testDescription: "other spacing", find: "\"splits\": 4", replacement: "\"splits\":  4",
      code: .invalidManifest),
    .init(
      testDescription: "other architecture", find: "\"architecture\": \"goldenmoe\"",
      replacement: "\"architecture\": \"goldenmoo\"", code: .invalidManifest),
    .init(
      testDescription: "source longer than any", find: "{\"bytes\": 118208, \"header_bytes\"",
      replacement: "{\"bytes\": 18446744073709551615, \"header_bytes\"", code: .invalidManifest),
    .init(
      testDescription: "no source", find: "\"sources\": [",
      replacement: "\"sources\": [],\n \"others\": [", code: .invalidManifest),
    .init(testDescription: "not JSON", find: "{", replacement: "[", code: .damaged),
    .init(
      testDescription: "fraction", find: "\"splits\": 4", replacement: "\"splits\": 4.0",
      code: .invalidManifest),
  ]

  @Test("a manifest that no writer writes is refused", arguments: forgeries)
  func forged(_ item: ForgedManifest) throws {
    let directory = try TemporaryDirectory()
    let pack = directory.file("forged.moepack")
    try FileManager.default.copyItem(atPath: Fixtures.path("pack/golden.moepack"), toPath: pack)
    let path = pack + "/" + PackManifest.fileName
    let text = String(decoding: try FileBytes.read(path), as: UTF8.self)
    let range = try #require(text.range(of: item.find))
    let forged = Self.sign(text.replacingCharacters(in: range, with: item.replacement))
    try Data(forged.utf8).write(to: URL(filePath: path))
    let error = #expect(throws: PackError.self) { try PackDirectory.open(pack) }
    #expect(error?.code == item.code, "\(String(describing: error))")
  }

  @Test(
    "a manifest that tells another change of types than the header is refused",
    arguments: [
      ("token_embd=Q8_0", "token_embd=Q6_K"),
      ("\"name\": \"plain.gguf\"", "\"name\": \"other.gguf\""),
      ("\"requantized\": {", "\"requantised\": {"), ("\"version\": 2", "\"version\": 1"),
    ])
  func forgedChange(find: String, replacement: String) throws {
    let directory = try TemporaryDirectory()
    let pack = directory.file("forged.moepack")
    try FileManager.default.copyItem(
      atPath: Fixtures.path("pack/requantized.moepack"), toPath: pack)
    let path = pack + "/" + PackManifest.fileName
    let text = String(decoding: try FileBytes.read(path), as: UTF8.self)
    let range = try #require(text.range(of: find))
    try Data(Self.sign(text.replacingCharacters(in: range, with: replacement)).utf8)
      .write(to: URL(filePath: path))
    let error = #expect(throws: PackError.self) { try PackDirectory.open(pack) }
    #expect(error?.code == .invalidManifest, "\(String(describing: error))")
  }

  @Test("the golden pack of changed types opens, verifies, and is what its source gives")
  func goldenRequantizedPack() throws {
    let golden = Fixtures.path("pack/requantized.moepack")
    #expect(try PackVerifier(directory: golden, threads: 2).verify { _ in }.findings == [])
    let opened = try PackDirectory.open(golden)
    let matrix = try ImportanceMatrix(contentsOf: Fixtures.path("pack/plain.imatrix.gguf"))
    let source = try GGUFFile.open(Fixtures.path("pack/plain.gguf"))
    let rules = try #require(opened.manifest.requantized).rules.compactMap { TypeRule($0) }
    #expect(rules.count == 3)
    let plan = try RequantizationPlan(source: source, rules: rules, importance: matrix)
    let directory = try TemporaryDirectory()
    let pack = directory.file("requantized.moepack")
    try PackWriter(requantization: try Requantization(plan, threads: 2), threads: 2).write(
      to: pack, overwrite: false
    ) { _ in }
    #expect(try FileBytes.files(below: pack) == FileBytes.files(below: golden))
    for name in try FileBytes.files(below: pack)
    where !name.hasPrefix("headers/") && name != PackManifest.fileName {
      #expect(
        try FileBytes.read(pack + "/" + name) == FileBytes.read(golden + "/" + name), "\(name)")
    }
    let again = try PackDirectory.open(pack)
    #expect(again.archives[0].bytes.bytes.elementsEqual(opened.archives[0].bytes.bytes))
    #expect(again.manifest.sources[0].xxh3_128 == opened.manifest.sources[0].xxh3_128)
  }

  @Test("a refused manifest's claims make the verifier neither trap nor leave the directory")
  func refusedClaims() throws {
    let directory = try TemporaryDirectory()
    let pack = directory.file("forged.moepack")
    try FileManager.default.copyItem(atPath: Fixtures.path("pack/golden.moepack"), toPath: pack)
    let path = pack + "/" + PackManifest.fileName
    let claim = #""bytes": 18446744073709551615, "name": "#
    let text = String(decoding: try FileBytes.read(path), as: UTF8.self)
      .replacingOccurrences(
        of: #""bytes": [0-9]+, "name": "checksums.xxh3""#, with: claim + #""checksums.xxh3""#,
        options: .regularExpression
      ).replacingOccurrences(
        of: #""bytes": [0-9]+, "name": "resident.bin""#, with: claim + #""../resident.bin""#,
        options: .regularExpression
      ).replacingOccurrences(of: #""splits": 4"#, with: #""splits": 5"#)
    try Data(Self.sign(text).utf8).write(to: URL(filePath: path))
    let findings = try PackVerifier(directory: pack, threads: 2).verify { _ in }.findings
    #expect(findings.contains { $0.file == PackManifest.fileName && $0.kind == .invalid })
    #expect(!findings.contains { $0.file.contains("..") })
  }

  @Test("signing as the tests do leaves a true manifest valid")
  func signature() throws {
    let path = Fixtures.path("pack/golden.moepack/manifest.json")
    let text = String(decoding: try FileBytes.read(path), as: UTF8.self)
    #expect(Self.sign(text) == text)
  }

  /// Puts the digest that PackFormat prescribes into `text`.
  static func sign(_ text: String) -> String {
    let zeros = String(repeating: "0", count: 32)
    guard let member = text.range(of: #""digest": "[0-9a-f]{32}""#, options: .regularExpression)
    else { return text }
    let blank = text.replacingCharacters(in: member, with: "\"digest\": \"\(zeros)\"")
    let digest = Array(blank.utf8).withUnsafeBytes { XXH3.hash128($0) }
    return text.replacingCharacters(in: member, with: "\"digest\": \"\(digest)\"")
  }

  @Test("the golden pack opens, verifies and exports")
  func goldenPackReads() throws {
    let pack = Fixtures.path("pack/golden.moepack")
    #expect(try PackVerifier(directory: pack, threads: 2).verify { _ in }.findings == [])
    let directory = try TemporaryDirectory()
    let target = directory.file("source.gguf")
    try PackExporter(pack: try PackDirectory.open(pack), threads: 2).export(
      to: target, overwrite: false
    ) { _ in }
    #expect(try FileBytes.read(target) == FileBytes.read(Fixtures.path("pack/source.gguf")))
  }

  @Test("the golden source gives the golden pack, byte for byte")
  func goldenPackWrites() throws {
    let directory = try TemporaryDirectory()
    let pack = directory.file("golden.moepack")
    try convert(Fixtures.path("pack/source.gguf"), to: pack)
    let golden = Fixtures.path("pack/golden.moepack")
    #expect(try FileBytes.files(below: pack) == FileBytes.files(below: golden))
    // The frames of zstd, and with them the manifest, may differ between versions of the library.
    for name in try FileBytes.files(below: pack)
    where !name.hasPrefix("headers/") && name != PackManifest.fileName {
      #expect(
        try FileBytes.read(pack + "/" + name) == FileBytes.read(golden + "/" + name), "\(name)")
    }
    let (one, other) = (try PackDirectory.open(pack), try PackDirectory.open(golden))
    #expect(one.layout == other.layout)
    #expect(one.archives[0].bytes.bytes.elementsEqual(other.archives[0].bytes.bytes))
  }
}
