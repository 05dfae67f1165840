import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import TestSupport
import Testing

@Suite("Writers beside each other and beside strangers' files")
struct WriterTests {
  @Test("a directory that another conversion writes is left alone")
  func lockedDirectory() throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("model.gguf")
    try SyntheticModel().write(to: source)
    let pack = directory.file("model.moepack")
    try convert(source, to: pack)
    let before = try FileBytes.files(below: pack)
    do {
      let lock = try DirectoryLock(pack)
      let error = #expect(throws: FileIOError.self) {
        try convert(source, to: pack, overwrite: true)
      }
      #expect(error?.code == .inUse)
      withExtendedLifetime(lock) {}
    }
    #expect(try FileBytes.files(below: pack) == before)
    #expect(try PackVerifier(directory: pack, threads: 1).verify { _ in }.findings == [])
    try convert(source, to: pack, overwrite: true)
  }

  @Test("a file that another export writes is left alone")
  func lockedExport() throws {
    let directory = try TemporaryDirectory()
    try SyntheticModel().write(to: directory.file("model.gguf"))
    let pack = directory.file("model.moepack")
    try convert(directory.file("model.gguf"), to: pack)
    let target = directory.file("out.gguf")
    let exporter = try PackExporter(pack: try PackDirectory.open(pack), threads: 1)
    do {
      let other = try File.creatingAlone(target + ".partial")
      let error = #expect(throws: FileIOError.self) {
        try exporter.export(to: target, overwrite: false) { _ in }
      }
      #expect(error?.code == .inUse)
      #expect(FileManager.default.fileExists(atPath: target + ".partial"))
      withExtendedLifetime(other) {}
    }
    try exporter.export(to: target, overwrite: false) { _ in }
  }

  @Test("links in a target lead no write out of it")
  func links() throws {
    let directory = try TemporaryDirectory()
    try SyntheticModel().write(to: directory.file("model.gguf"))
    let victim = directory.file("victim")
    try Data("precious".utf8).write(to: URL(filePath: victim))
    let pack = directory.file("model.moepack")
    let manager = FileManager.default
    try manager.createDirectory(atPath: pack, withIntermediateDirectories: false)
    for name in [PackJournal.fileName, PackJournal.fileName + ".partial", "layer-000.experts"] {
      try manager.createSymbolicLink(atPath: pack + "/" + name, withDestinationPath: victim)
    }
    try manager.createSymbolicLink(
      atPath: pack + "/headers", withDestinationPath: directory.path)
    try convert(directory.file("model.gguf"), to: pack)
    let target = directory.file("out.gguf")
    try manager.createSymbolicLink(atPath: target + ".partial", withDestinationPath: victim)
    try PackExporter(pack: try PackDirectory.open(pack), threads: 1).export(
      to: target, overwrite: false
    ) { _ in }
    #expect(try FileBytes.read(victim) == Data("precious".utf8))
    #expect(try PackVerifier(directory: pack, threads: 1).verify { _ in }.findings == [])
  }

  @Test("another program's manifest.json and headers are no pack to overwrite")
  func otherManifest() throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("model.gguf")
    try SyntheticModel().write(to: source)
    let project = directory.file("project")
    try FileManager.default.createDirectory(
      atPath: project + "/headers", withIntermediateDirectories: true)
    try Data("{}".utf8).write(to: URL(filePath: project + "/manifest.json"))
    #expect(throws: FileIOError.self) { try convert(source, to: project, overwrite: true) }
    try Data().write(to: URL(filePath: project + "/" + PackJournal.fileName))
    try Data().write(to: URL(filePath: project + "/headers/project.h"))
    #expect(throws: FileIOError.self) { try convert(source, to: project, overwrite: true) }
    #expect(FileManager.default.fileExists(atPath: project + "/headers/project.h"))
  }

  @Test("a source of more bytes than sums can hold is refused")
  func sparseSource() throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("model.gguf")
    try SyntheticModel().write(to: source)
    let opened = try GGUFFile.open(source)
    let shard = GGUFShard(path: source, fileSize: .max, header: opened.shards[0].header)
    let error = #expect(throws: PackError.self) {
      try PackLayout(source: try GGUFFile(shards: [shard]))
    }
    #expect(error?.code == .unsupportedSource)
  }
}
