import ExpertPack
import FileIO
import Foundation
import GGUF
import TestSupport
import Tensors
import Testing

/// Small packs that claim much, given to the tool in a process that cannot have much.
@Suite("Claims of packs cost no memory")
struct HostileClaimTests {
  /// What a process may map: the tool and its libraries take 170 MB of it.
  private static let addressSpace = "420000"

  private static let zero = [UInt8]().withUnsafeBytes { XXH3.hash128($0) }

  /// A pack of the source that `writer` describes, of which nothing but the headers is there.
  private func claim(_ writer: GGUFWriter, in directory: TemporaryDirectory) throws -> String {
    let header = try writer.layout().header
    let end = header.tensors.map { $0.offset + $0.byteCount }.max() ?? 0
    let shard = GGUFShard(path: "model.gguf", fileSize: end, header: header)
    let source = try GGUFFile(shards: [shard])
    let layout = try PackLayout(source: source)
    let archive = try HeaderArchive(shard: shard) { buffer, offset in
      header.bytes.withUnsafeBytes {
        buffer.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + buffer.count]))
      }
    }
    return try write(
      archive.compressed(path: "model.gguf"), headerBytes: archive.bytes.count, source: source,
      layout: layout, in: directory)
  }

  private func write(
    _ frame: [UInt8], headerBytes: Int, source: GGUFFile, layout: PackLayout,
    in directory: TemporaryDirectory
  ) throws -> String {
    let pack = directory.file("claims.moepack")
    try FileManager.default.createDirectory(
      atPath: pack + "/headers", withIntermediateDirectories: true)
    let table = 8 * ChecksumTable.count(layout: layout, kind: .packed)
    let name = HeaderArchive.fileName(shard: 0)
    let manifest = PackManifest(
      kind: .packed, architecture: try PackManifest.architecture(of: source),
      sources: [
        .init(
          name: "model.gguf", bytes: source.shards[0].fileSize, digest: Self.zero,
          headerBytes: UInt64(headerBytes), path: nil)
      ],
      files: [
        .init(
          name: name, bytes: UInt64(frame.count),
          digest: frame.withUnsafeBytes { XXH3.hash128($0) }),
        .init(name: ChecksumTable.fileName, bytes: UInt64(table), digest: Self.zero),
        .init(name: "resident.bin", bytes: layout.residentBytes, digest: Self.zero),
      ] + layout.layers.map { .init(name: $0.fileName, bytes: $0.fileBytes, digest: Self.zero) },
      requantized: nil)
    try Data(frame).write(to: URL(filePath: pack + "/" + name))
    let text = manifest.text(
      layout: layout, tensors: ManifestTensor.table(source: source, layout: layout))
    try Data(text.utf8).write(to: URL(filePath: pack + "/" + PackManifest.fileName))
    return pack
  }

  /// Runs the tool with little room; a run that wants more is killed by a signal or says so.
  private func expectNamed(
    _ arguments: [String], _ words: String, location: SourceLocation = #_sourceLocation
  ) throws {
    let capture = try TemporaryDirectory()
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments =
      [
        "-c", "ulimit -v \(Self.addressSpace); exec \"$@\" > '\(capture.file("out"))' 2>&1", "sh",
        Binary.moepack.path,
      ] + arguments
    try process.run()
    process.waitUntilExit()
    let output = String(decoding: try FileBytes.read(capture.file("out")), as: UTF8.self)
    #expect(process.terminationReason == .exit, "\(output)", sourceLocation: location)
    #expect(
      process.terminationStatus == 1 || process.terminationStatus == 2, "\(output)",
      sourceLocation: location)
    #expect(output.contains(words), "\(output)", sourceLocation: location)
    #expect(!output.contains("the system refused"), "\(output)", sourceLocation: location)
  }

  @Test("a checksum table of half a gigabyte that headers ask for is not made before it is there")
  func checksumTable() throws {
    let directory = try TemporaryDirectory()
    var writer = GGUFWriter()
    writer.metadata.set(.string(GGUFString("x")), for: "general.architecture")
    for layer in 0..<250 {
      for role in ["up", "down"] {
        writer.add(
          "blk.\(layer).ffn_\(role)_exps.weight", type: .f32,
          dimensions: [1, 1, UInt64(PackLimits.experts)])
      }
    }
    let pack = try claim(writer, in: directory)
    #expect(try FileBytes.size(pack + "/headers/00001.gguf.zst") < 1 << 20)
    try expectNamed(["verify", pack, "--threads", "1"], "checksums.xxh3")
    let source = Fixtures.path("pack/source.gguf")
    try expectNamed(
      ["repair", pack, "--from", source, "--threads", "1"], "is not the source of this pack")
  }

  @Test("a frame of a few kilobytes does not inflate to a gigabyte")
  func headerArchive() throws {
    let directory = try TemporaryDirectory()
    let golden = try PackDirectory(contentsOf: Fixtures.path("pack/golden.moepack"))
    let frame = Self.zeros(PackLimits.archiveBytes)
    #expect(frame.count < 200_000)
    let pack = try write(
      frame, headerBytes: PackLimits.archiveBytes, source: golden.source, layout: golden.layout,
      in: directory)
    try expectNamed(["verify", pack, "--threads", "1"], "header bytes in an archive of")
    let error = #expect(throws: PackError.self) { try PackDirectory.open(pack) }
    #expect(error?.code == .invalidManifest)
  }

  /// So many zeros as one frame of zstd, block after block of one repeated byte.
  private static func zeros(_ count: Int) -> [UInt8] {
    // Magic, then a single segment with 8 bytes of content size.
    var frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0xE0]
    withUnsafeBytes(of: UInt64(count).littleEndian) { frame += $0 }
    let block = 128 << 10
    for start in stride(from: 0, to: count, by: block) {
      let isLast = start + block >= count
      let head = UInt32(min(block, count - start)) << 3 | 1 << 1 | (isLast ? 1 : 0)
      withUnsafeBytes(of: head.littleEndian) { frame += $0[..<3] }
      frame.append(0)
    }
    return frame
  }
}
