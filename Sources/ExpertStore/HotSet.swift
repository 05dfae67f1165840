public import FileIO

/// The experts that were hot at the end of a run, kept for the next one in the user's cache
/// directory: one small file a pack, never in the pack itself. What is in it is a hint.
///
/// The file, little-endian: `MOEHOT` and two digits of the version; the pack's ``PackDirectory``
/// digest, high half first; the count of experts, 4 bytes; for each the layer and the expert, 2 bytes
/// each, hottest first; XXH3-64 of all bytes before it.
public struct HotSet: Sendable {
  /// What was found.
  public enum Kept: Sendable, Equatable {
    /// Experts of the pack, each once, hottest first.
    case experts([ExpertID])
    /// No file.
    case nothing
    /// A file that is not to be used, and why.
    case unusable(String)
  }

  /// Path of the file that holds the set.
  public let path: String
  private let pack: Digest128

  private static let magic = Array("MOEHOT01".utf8)
  private static let headerBytes = 28
  private static let checksumBytes = 8

  /// The hot set of the pack with digest `pack`; nil when there is no directory for it.
  /// - Parameters:
  ///   - pack: XXH3-128 of the pack's manifest.
  ///   - directory: Where hot sets are kept; nil for the user's cache directory.
  public init?(pack: Digest128, directory: String? = nil) {
    guard let directory = directory ?? UserCacheDirectory.path else { return nil }
    path = "\(directory)/hot-\(pack).bin"
    self.pack = pack
  }

  /// What was kept for a model with these many experts in every layer. Everything about the file is
  /// checked: one odd byte, and nothing of it is used.
  public func load(expertCounts: [Int]) -> Kept {
    let limit = expertCounts.reduce(0, +)
    do {
      guard let file = try File.readingIfPresent(path) else { return .nothing }
      let size = try file.size()
      guard size <= UInt64(Self.byteCount(limit)) else {
        return unusable("at most \(Self.byteCount(limit)) bytes", "\(size)")
      }
      return parse(try file.bytes(at: 0, count: Int(size)), expertCounts: expertCounts)
    } catch {
      return .unusable("\(error)")
    }
  }

  /// Keeps `experts`, hottest first, in place of what was kept before.
  /// - Throws: `FileIOError` when the directory cannot be written; the file is then as it was.
  public func save(_ experts: [ExpertID]) throws {
    var bytes = Self.magic
    func append(_ value: UInt64, _ count: Int) {
      for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
    }
    let named = experts.filter {
      UInt16(exactly: $0.layer) != nil && UInt16(exactly: $0.expert) != nil
    }
    append(pack.high, 8)
    append(pack.low, 8)
    append(UInt64(named.count), 4)
    for id in named {
      append(UInt64(id.layer), 2)
      append(UInt64(id.expert), 2)
    }
    append(bytes.withUnsafeBytes { XXH3.hash64($0, seed: 0) }, 8)
    let directory = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    try Directory.create(directory.joined(separator: "/"))
    try AtomicFile.write(bytes, to: path)
  }

  private static func byteCount(_ experts: Int) -> Int {
    headerBytes + 4 * experts + checksumBytes
  }

  private func unusable(_ expected: String, _ found: String) -> Kept {
    .unusable("\(path): expected \(expected), found \(found)")
  }

  private func parse(_ bytes: [UInt8], expertCounts: [Int]) -> Kept {
    func value(_ offset: Int, _ count: Int) -> UInt64 {
      (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }
    guard bytes.count >= Self.byteCount(0), Array(bytes[..<8]) == Self.magic else {
      return unusable("a hot set of version 01", "\(bytes.count) other bytes")
    }
    guard value(8, 8) == pack.high, value(16, 8) == pack.low else {
      return unusable("the hot set of pack \(pack)", "another pack's")
    }
    let count = Int(value(24, 4))
    guard bytes.count == Self.byteCount(count) else {
      return unusable("\(Self.byteCount(count)) bytes for \(count) experts", "\(bytes.count)")
    }
    let end = bytes.count - Self.checksumBytes
    let checksum = bytes.withUnsafeBytes {
      XXH3.hash64(UnsafeRawBufferPointer(rebasing: $0[..<end]), seed: 0)
    }
    guard checksum == value(end, 8) else {
      return unusable("checksum \(Digest128.hexadecimal(value(end, 8)))", "another")
    }
    var seen = Set<ExpertID>()
    var experts: [ExpertID] = []
    experts.reserveCapacity(count)
    for index in 0..<count {
      let offset = Self.headerBytes + 4 * index
      let id = ExpertID(layer: Int(value(offset, 2)), expert: Int(value(offset + 2, 2)))
      guard expertCounts.indices.contains(id.layer), id.expert < expertCounts[id.layer],
        seen.insert(id).inserted
      else {
        return unusable(
          "experts of the pack, each once", "layer \(id.layer), expert \(id.expert)")
      }
      experts.append(id)
    }
    return .experts(experts)
  }
}
