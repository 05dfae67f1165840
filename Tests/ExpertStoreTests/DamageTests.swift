import ExpertPack
import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

@Suite("Damaged experts")
struct DamageTests {
  private struct Refused: Error {}

  @Test(
    "a flipped bit is an error that names the place, and nothing of the expert is served",
    arguments: 0..<4, SyntheticPack.readings)
  func flipped(slice: Int, reading: ReadSettings) throws {
    let pack = try SyntheticPack()
    let file = pack.pack.files[1].path
    let read = pack.pack.placement(layer: 1, expert: 3).reads[slice]
    let offset = Int(read.payloadOffset) + read.payload.count / 2
    try FileBytes.flipBit(file, offset: offset, bit: 5)
    let store = try pack.store(slots: 4, reading: reading)
    for _ in 0..<2 {
      let error = #expect(throws: ExpertStoreError.self) {
        try store.withExperts(layer: 1, experts: [3, 0, 5]) { _, expert in
          for slice in 0..<expert.sliceCount { _ = try expert.slice(slice) }
        }
      }
      #expect(error?.code == .damaged)
      let bytes = read.payloadOffset..<read.payloadOffset + UInt64(read.payload.count)
      #expect(error?.place?.file == file)
      #expect(error?.place?.layer == 1)
      #expect(error?.place?.expert == 3)
      #expect(error?.place?.slice == slice)
      #expect(error?.place?.bytes == bytes)
      let message = error?.message ?? ""
      #expect(message.hasPrefix("\(file): layer 1, expert 3, slice \(slice): checksum is "))
      #expect(
        message.hasSuffix(
          "(bytes \(bytes.lowerBound)..<\(bytes.upperBound)); run: moepack verify \(pack.pack.path)"
        ))
      #expect(!store.isResident(layer: 1, expert: 3))
    }
    try pack.check(store, layer: 1, [0, 1, 2, 4, 5])
  }

  @Test("an in-place pack names the source file and the tensor's range")
  func inPlace() throws {
    let pack = try SyntheticPack(kind: .inPlace)
    let read = pack.pack.placement(layer: 2, expert: 1).reads[2]
    let file = pack.pack.files[read.file].path
    try FileBytes.flipBit(file, offset: Int(read.payloadOffset), bit: 0)
    let store = try pack.store(slots: 4)
    let error = #expect(throws: ExpertStoreError.self) { try pack.check(store, layer: 2, [1]) }
    #expect(error?.place?.file == file)
    #expect(error?.place?.bytes.lowerBound == read.payloadOffset)
    #expect(error?.place?.bytes.count == read.payload.count)
  }

  @Test("a file cut short after it was opened is an error that names the place")
  func cutShort() throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 4)
    let handle = try FileHandle(forUpdating: URL(filePath: pack.pack.files[0].path))
    try handle.truncate(atOffset: pack.pack.files[0].byteCount - 4096)
    try handle.close()
    try pack.check(store, layer: 0, [0, 1, 2, 3, 4])
    let error = #expect(throws: ExpertStoreError.self) { try pack.check(store, layer: 0, [5]) }
    #expect(error?.code == .damaged)
    #expect(error?.place?.slice == 3)
    #expect(error?.message.contains("it is cut short") == true)
  }

  @Test(
    "a body that throws leaves the store as usable as before", arguments: SyntheticPack.readings)
  func bodyThrows(_ reading: ReadSettings) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 2, reading: reading)
    for round in 0..<20 {
      var calls = 0
      #expect(throws: Refused.self) {
        try store.withExperts(layer: round % 3, experts: [0, 1, 2, 3, 4, 5]) { _, _ in
          calls += 1
          if calls > round % 5 { throw Refused() }
        }
      }
      try pack.check(store, layer: (round + 1) % 3, [5, 3, 1, 0])
    }
  }

  @Test("a file that is written to under a running process is verified again")
  func changedInUse() throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 1)
    try pack.check(store, layer: 0, [0])
    try pack.check(store, layer: 0, [1])
    try FileBytes.flipBit(pack.pack.files[0].path, offset: 100, bit: 3)
    let error = #expect(throws: ExpertStoreError.self) { try pack.check(store, layer: 0, [0]) }
    #expect(error?.code == .damaged)
    #expect(error?.place?.slice == 0)
    try pack.check(store, layer: 0, [2])
  }

  @Test("a pack that is replaced under a running process is read on as it was")
  func replacedInUse() throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 1)
    try pack.check(store, layer: 0, [0])
    for file in pack.pack.files {
      let size = try FileBytes.size(file.path)
      try Data(count: size).write(to: URL(filePath: file.path), options: .atomic)
    }
    for layer in 0..<3 { try pack.check(store, layer: layer, [0, 1, 2, 3, 4, 5]) }
  }

  @Test("a missing file is refused when the store opens")
  func missing() throws {
    let pack = try SyntheticPack()
    try FileManager.default.removeItem(atPath: pack.pack.files[2].path)
    #expect(throws: (any Error).self) { try pack.store(slots: 4) }
  }
}
