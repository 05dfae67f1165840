import ExpertPack
import FileIO
import Foundation
import FuzzSupport
import GGUF

nonisolated(unsafe) private let place: FuzzPlace = {
  let source = demand { try Data(contentsOf: URL(filePath: "fixtures/pack/source.gguf")) }
  let place = FuzzPlace(files: ["source.gguf": source])
  place.take("fixtures/pack/golden.moepack")
  place.seal()
  return place
}()

private let golden = demand { try PackDirectory(contentsOf: "fixtures/pack/golden.moepack") }

/// What libFuzzer calls with each input: the tables of a pack behind a manifest that proves them.
///
/// The first byte says what the rest is. Even: the header of a source, whose tensors are as large as it
/// claims, and after it the checksum table, repeated or cut to the length that the header asks for, where
/// that is not beyond a megabyte. Odd: a frame of zstd, after four bytes with the length that it is
/// claimed to inflate to.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = Array(UnsafeBufferPointer(start: start, count: count))
  guard let mode = input.first else { return 0 }
  var files: [String: Data?] = [:]
  FuzzLimits.hold {
    files = mode % 2 == 0 ? tables(Array(input.dropFirst()), mode) : frame(Array(input.dropFirst()))
  }
  guard !files.isEmpty else { return 0 }
  place.reset(files)
  FuzzLimits.hold { exercise(pack: place.pack, source: place.path + "/source.gguf") }
  place.check()
  return 0
}

/// The files of a pack of the header at the start of `input`; none where it is no header of a pack.
private func tables(_ input: [UInt8], _ mode: UInt8) -> [String: Data?] {
  var files: [String: Data?] = [:]
  expectNamed {
    let whole = try GGUFHeader.parse(
      input.span.bytes, path: "test.gguf", fileSize: UInt64(Int64.max))
    // The file ends with its last tensor, so that nothing but the header has to be in the archive.
    let end = whole.tensors.map { $0.offset + $0.byteCount }.max() ?? whole.byteCount
    let shard = GGUFShard(
      path: "test.gguf", fileSize: end,
      header: try GGUFHeader.parse(input.span.bytes, path: "test.gguf", fileSize: end))
    let gaps = HeaderArchive.regions(of: shard).reduce(0) { $0 + UInt64($1.count) }
    guard gaps <= 1 << 20 else { return }
    let source = try GGUFFile(shards: [shard])
    let layout = try PackLayout(source: source)
    let archive = try HeaderArchive(shard: shard) { buffer, offset in
      for index in buffer.indices {
        let place = offset + UInt64(index)
        buffer[index] = place < input.count ? input[Int(place)] : 0
      }
    }
    let stored = try archive.compressed(path: "test.gguf")
    let kind: PackKind = mode & 2 == 0 ? .packed : .inPlace
    let length = 8 * ChecksumTable.count(layout: layout, kind: kind)
    let rest = input.dropFirst(Int(min(whole.byteCount, UInt64(input.count))))
    let table =
      length <= 1 << 20 && !rest.isEmpty
      ? (0..<length).map { rest[rest.startIndex + $0 % rest.count] } : Array(rest)
    var records = [
      record("headers/00001.gguf.zst", stored),
      PackManifest.PackedFile(
        name: ChecksumTable.fileName, bytes: UInt64(length),
        digest: table.withUnsafeBytes { XXH3.hash128($0) }),
    ]
    let zero = [UInt8]().withUnsafeBytes { XXH3.hash128($0) }
    if kind == .packed {
      records.append(.init(name: "resident.bin", bytes: layout.residentBytes, digest: zero))
      records += layout.layers.map { .init(name: $0.fileName, bytes: $0.fileBytes, digest: zero) }
    }
    let manifest = PackManifest(
      kind: kind, architecture: try PackManifest.architecture(of: source),
      sources: [
        .init(
          name: "test.gguf", bytes: end, digest: zero, headerBytes: UInt64(archive.bytes.count),
          path: kind == .inPlace ? "../source.gguf" : nil)
      ], files: records, requantized: TypeChange(source.metadata))
    files = [
      "headers/00001.gguf.zst": Data(stored), ChecksumTable.fileName: Data(table),
      PackManifest.fileName: Data(
        manifest.text(layout: layout, tensors: ManifestTensor.table(source: source, layout: layout))
          .utf8),
    ]
    if mode & 4 != 0 { files[ChecksumTable.fileName] = .some(nil) }
  }
  return files
}

/// The files of a pack whose header archive is the frame in `input`.
private func frame(_ input: [UInt8]) -> [String: Data?] {
  guard input.count >= 4 else { return [:] }
  let claim = input[..<4].reduce(0) { $0 << 8 | UInt64($1) }
  let stored = Array(input[4...])
  let manifest = PackManifest(
    kind: .packed, architecture: golden.manifest.architecture,
    sources: [
      .init(
        name: "source.gguf", bytes: golden.manifest.sources[0].bytes,
        digest: golden.digest, headerBytes: claim, path: nil)
    ],
    files: golden.manifest.files.filter { !$0.name.hasPrefix("headers/") }
      + [record("headers/00001.gguf.zst", stored)], requantized: nil)
  let tensors = ManifestTensor.table(source: golden.source, layout: golden.layout)
  return [
    "headers/00001.gguf.zst": Data(stored),
    PackManifest.fileName: Data(manifest.text(layout: golden.layout, tensors: tensors).utf8),
  ]
}

private func record(_ name: String, _ bytes: [UInt8]) -> PackManifest.PackedFile {
  .init(
    name: name, bytes: UInt64(bytes.count), digest: bytes.withUnsafeBytes { XXH3.hash128($0) })
}
