internal import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
internal import GGUF

/// What an unfinished conversion has done: all that one needs to go on, and no more than is on stable
/// storage.
///
/// Written whole beside the old one, flushed and renamed, and only after the bytes that it claims have
/// been flushed. So at any moment it is true; a first line with the digest of the rest finds damage.
struct ConversionJournal: Codable, Sendable {
  /// A shard of the source and how far its digest is.
  struct Shard: Codable, Sendable {
    /// File name without directories.
    var name: String
    var bytes: UInt64
    /// Bytes that belong to no tensor, and their digest.
    var headerBytes: UInt64
    var headerDigest: String
    /// The archive of these bytes in the pack, which is there.
    var archive: PackManifest.PackedFile
    /// When the file was modified, nanoseconds since 1970; 0 for no file. A hint.
    var modified: Int64
    /// The last bytes of the file.
    var rest: Data
    /// Blocks folded into `lanes`.
    var folded: UInt64
    /// Accumulators of the digest, hexadecimal.
    var lanes: [String]
    /// Pages whose sums are folded or in the file of sums: start, end, start, end, ...
    var pages: [UInt64]
  }

  /// A file of weights and how much of it is there.
  struct Unit: Codable, Sendable {
    var name: String
    /// Items, from the first, whose bytes are there.
    var items: Int
    /// Of the items.
    var checksums: Data
    /// Accumulators of the file's digest over the items, hexadecimal.
    var lanes: [String]
    /// Digest of the file once it is complete.
    var digest: String?
  }

  var kind: String
  /// Whether bytes of the source that are packed may have been given back to the file system.
  var consumes: Bool
  var shards: [Shard]
  /// Units that have been begun.
  var units: [Unit]

  /// Length of a journal that is read at all.
  private static let limit = 256 << 20
  private static let title = "moepack conversion journal 1, xxh3-128 "

  static func path(_ directory: String) -> String { directory + "/" + PackJournal.fileName }

  /// The file of sums of shard number `shard`, which belongs to the journal.
  static func sumsName(shard: Int) -> String { "\(PackJournal.fileName).sums-\(shard + 1)" }

  /// The journal that only says that a conversion has begun.
  static func writeMarker(in directory: String) throws {
    try AtomicFile.write(Array("moepack conversion in progress\n".utf8), to: path(directory))
  }

  /// Puts this in the place of the last one.
  func write(in directory: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let content = try encoder.encode(self)
    let digest = content.withUnsafeBytes { XXH3.hash128($0) }
    try AtomicFile.write(
      Array((Self.title + digest.description + "\n").utf8) + content, to: Self.path(directory))
  }

  /// The journal in `directory`; nil when it claims nothing. Throws when it is damaged.
  static func read(in directory: String) throws -> ConversionJournal? {
    guard let file = try File.readingIfPresent(path(directory)) else { return nil }
    let size = try file.size()
    func damaged(_ what: String) -> PackError {
      PackError(
        .damaged, path: path(directory),
        "\(what); nothing can go on from it, start again with --overwrite")
    }
    guard size <= UInt64(limit) else { throw damaged("is \(size) bytes long, no journal is") }
    let bytes = try file.bytes(at: 0, count: Int(size))
    guard bytes.starts(with: Array(title.utf8)) else { return nil }
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
      throw damaged("ends in its first line")
    }
    let content = bytes[(end + 1)...]
    let digest = content.withUnsafeBytes { XXH3.hash128($0) }
    guard bytes[title.utf8.count..<end].elementsEqual(digest.description.utf8) else {
      throw damaged("does not have the checksum of its first line")
    }
    do {
      return try JSONDecoder().decode(ConversionJournal.self, from: Data(content))
    } catch {
      throw damaged("is not one of this version")
    }
  }
}

extension ConversionJournal.Shard {
  init(
    shard: GGUFShard, name: String, headerBytes: Int, headerDigest: Digest128,
    archive: PackManifest.PackedFile, modified: Int64, rest: [UInt8]
  ) {
    let start = ShardDigest.start(byteCount: shard.fileSize, rest: rest)
    self.init(
      name: name, bytes: shard.fileSize, headerBytes: UInt64(headerBytes),
      headerDigest: headerDigest.description, archive: archive, modified: modified,
      rest: Data(rest), folded: 0, lanes: [], pages: [])
    set(start)
  }

  mutating func set(_ snapshot: ShardDigest.Snapshot) {
    folded = snapshot.digest.folded
    lanes = snapshot.digest.lanes.map(Digest128.hexadecimal)
    pages = snapshot.pages.ranges.flatMap { [$0.lowerBound, $0.upperBound] }
  }

  /// The state of the digest; nil when the values are none of a file of this length.
  var snapshot: ShardDigest.Snapshot? {
    let pageCount = (bytes + ShardDigest.pageBytes - 1) / ShardDigest.pageBytes
    guard bytes <= PackLimits.sourceBytes,
      let digest = BlockDigest(
        byteCount: bytes, lanes: lanes.compactMap { UInt64($0, radix: 16) }, folded: folded),
      rest.count == BlockDigest.restBytes(byteCount: bytes), pages.count % 2 == 0
    else { return nil }
    var ranges: [Range<UInt64>] = []
    for index in stride(from: 0, to: pages.count, by: 2) {
      guard pages[index] < pages[index + 1], pages[index + 1] <= pageCount else { return nil }
      ranges.append(pages[index]..<pages[index + 1])
    }
    guard let pages = PageRanges(ranges: ranges), ShardDigest.isConsistent(digest, pages) else {
      return nil
    }
    return .init(digest: digest, pages: pages, rest: Array(rest))
  }
}

/// A unit's state in memory: what its journal entry says.
struct UnitProgress: Sendable {
  var items = 0
  var checksums: [UInt64] = []
  /// Over the items; of no use for an in-place pack.
  var digest: BlockDigest
  /// Of the complete file.
  var value: Digest128?

  init(_ unit: PackUnit) { digest = BlockDigest(byteCount: unit.fileBytes) }

  /// The state that `entry` describes; nil when it fits no unit like `unit`.
  init?(_ unit: PackUnit, entry: ConversionJournal.Unit, kind: PackKind) {
    self.init(unit)
    guard (0...unit.itemCount).contains(entry.items),
      entry.checksums.count == entry.items * unit.checksumsPerItem * 8
    else { return nil }
    items = entry.items
    checksums = entry.checksums.withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: 8).map {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt64.self))
      }
    }
    guard kind == .packed else { return }
    let end = unit.fileRange(0..<items).upperBound / UInt64(BlockDigest.blockBytes)
    let folded = min(end, digest.blockCount)
    guard
      let state = BlockDigest(
        byteCount: unit.fileBytes, lanes: entry.lanes.compactMap { UInt64($0, radix: 16) },
        folded: folded)
    else { return nil }
    digest = state
    if items == unit.itemCount, unit.itemCount > 0 {
      guard let known = entry.digest.flatMap({ Digest128(hexadecimal: $0) }) else { return nil }
      value = known
    }
  }

  /// Takes over the next piece of the unit.
  mutating func add(_ piece: PackPiece, items count: Int, of unit: PackUnit) {
    items += count
    checksums += piece.checksums
    piece.blockSums.withUnsafeBytes { digest.fold($0) }
    if !piece.rest.isEmpty { value = piece.rest.withUnsafeBytes { digest.value(rest: $0) } }
  }

  /// The journal's entry of it.
  func entry(name: String) -> ConversionJournal.Unit {
    var sums = Data(capacity: checksums.count * 8)
    for sum in checksums { withUnsafeBytes(of: sum.littleEndian) { sums.append(contentsOf: $0) } }
    return .init(
      name: name, items: items, checksums: sums,
      lanes: digest.lanes.map(Digest128.hexadecimal), digest: value?.description)
  }
}
