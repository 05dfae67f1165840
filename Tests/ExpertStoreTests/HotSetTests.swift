import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

@Suite("Hot sets on disk")
struct HotSetTests {
  private let directory: TemporaryDirectory
  private let pack = Digest128(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210)
  private let counts = [6, 0, 4]
  private let experts = [(2, 3), (0, 5), (0, 0), (2, 0)].map { ExpertID(layer: $0, expert: $1) }

  init() throws { directory = try TemporaryDirectory() }

  private func set() throws -> HotSet {
    try #require(HotSet(pack: pack, directory: directory.file("a/b")))
  }

  private func isUnusable(_ kept: HotSet.Kept) -> Bool {
    if case .unusable(let reason) = kept { return !reason.isEmpty }
    return false
  }

  /// Writes `bytes` with their checksum in place of the set.
  private func write(_ bytes: [UInt8]) throws {
    let checksum = bytes.withUnsafeBytes { XXH3.hash64($0, seed: 0) }
    let all = bytes + (0..<8).map { UInt8(truncatingIfNeeded: checksum >> (8 * $0)) }
    try Data(all).write(to: URL(filePath: try set().path))
  }

  @Test("what was saved is loaded in its order, by the pack's digest, and replaced as a whole")
  func roundTrip() throws {
    let set = try set()
    #expect(set.load(expertCounts: counts) == .nothing)
    for saved in [experts, Array(experts.prefix(1)), []] {
      try set.save(saved)
      #expect(set.load(expertCounts: counts) == .experts(saved))
    }
    let name = "hot-0123456789abcdeffedcba9876543210.bin"
    #expect(try FileBytes.files(below: directory.path) == ["a/b/" + name])
    let other = try #require(
      HotSet(pack: Digest128(high: 1, low: 2), directory: directory.file("a/b")))
    #expect(other.load(expertCounts: counts) == .nothing)
  }

  @Test("the file is the documented one")
  func golden() throws {
    try set().save(experts)
    var expected = Array("MOEHOT01".utf8)
    expected += [0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01]
    expected += [0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE]
    expected += [4, 0, 0, 0, 2, 0, 3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 2, 0, 0, 0]
    let written = try Array(FileBytes.read(try set().path))
    #expect(Array(written.dropLast(8)) == expected)
    #expect(written.count == expected.count + 8)
  }

  @Test("with any bit flipped, cut anywhere or longer, nothing of it is used")
  func damaged() throws {
    let set = try set()
    try set.save(experts)
    let intact = try FileBytes.read(set.path)
    for offset in intact.indices {
      for bit in 0..<8 {
        var bytes = intact
        bytes[offset] ^= 1 << bit
        try bytes.write(to: URL(filePath: set.path))
        #expect(isUnusable(set.load(expertCounts: counts)), "byte \(offset), bit \(bit)")
      }
      try intact.prefix(offset).write(to: URL(filePath: set.path))
      #expect(isUnusable(set.load(expertCounts: counts)), "cut at \(offset)")
    }
    for extra in [1, 4, 5000] {
      try (intact + Data(count: extra)).write(to: URL(filePath: set.path))
      #expect(isUnusable(set.load(expertCounts: counts)), "\(extra) bytes more")
    }
    try intact.write(to: URL(filePath: set.path))
    #expect(set.load(expertCounts: counts) == .experts(experts))
  }

  @Test("experts that the pack has not, or twice, make the whole set unusable")
  func strangers() throws {
    let set = try set()
    try set.save(experts)
    let head = Array(try FileBytes.read(set.path).prefix(24))
    func load(_ list: [(UInt16, UInt16)], count: UInt32? = nil) throws -> HotSet.Kept {
      var bytes = head
      withUnsafeBytes(of: (count ?? UInt32(list.count)).littleEndian) { bytes += $0 }
      for (layer, expert) in list {
        withUnsafeBytes(of: layer.littleEndian) { bytes += $0 }
        withUnsafeBytes(of: expert.littleEndian) { bytes += $0 }
      }
      try write(bytes)
      return set.load(expertCounts: counts)
    }
    #expect(
      try load([(2, 3), (0, 1)])
        == .experts([.init(layer: 2, expert: 3), .init(layer: 0, expert: 1)]))
    #expect(try isUnusable(load([(2, 4)])))
    #expect(try isUnusable(load([(1, 0)])))
    #expect(try isUnusable(load([(3, 0)])))
    #expect(try isUnusable(load([(65535, 65535)])))
    #expect(try isUnusable(load([(0, 1), (2, 0), (0, 1)])))
    #expect(try isUnusable(load([(0, 1)], count: 2)))
    #expect(try isUnusable(load([(0, 1)], count: 0)))
    #expect(try isUnusable(load([(0, 1)], count: .max)))
    // More than the pack has experts, though each might be one of them.
    #expect(try isUnusable(load((0..<11).map { (0, UInt16($0 % 6)) })))
  }

  @Test("a directory or a pipe in its place is no set, and keeps nobody waiting")
  func noFile() throws {
    let set = try set()
    try FileManager.default.createDirectory(
      atPath: directory.file("a/b"), withIntermediateDirectories: true)
    #expect(mkfifo(set.path, 0o600) == 0)
    #expect(isUnusable(set.load(expertCounts: counts)))
    try FileManager.default.removeItem(atPath: set.path)
    try FileManager.default.createDirectory(
      atPath: set.path, withIntermediateDirectories: true)
    #expect(isUnusable(set.load(expertCounts: counts)))
    #expect(throws: FileIOError.self) { try set.save(experts) }
  }
}
