public import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
public import GGUF

/// The room that a conversion needs on its disk. Pure, but for ``check(at:replacing:)``.
public struct PackSpace: Sendable {
  /// Bytes of the finished pack, whole blocks of the file system.
  public let packBytes: UInt64
  /// Bytes that are needed beside it while it is made.
  public let scratchBytes: UInt64
  /// Bytes of the pack that are written before as many of the source are given back.
  public let stepBytes: UInt64

  /// Of ``packBytes``, those of the layers' files.
  private let layerBytes: UInt64

  /// Blocks of most file systems.
  private static let usualBlockBytes: UInt64 = 4096
  /// More than manifest, journal, directories and what the file system notes for itself need.
  private static let tableBytesPerTensor: UInt64 = 1024

  /// The room for a pack of `source`, laid out as `layout`.
  public init(
    source: GGUFFile, layout: PackLayout, kind: PackKind,
    stepBytes: UInt64 = ConversionOptions.consumingCheckpointBytes
  ) {
    func whole(_ bytes: UInt64) -> UInt64 { bytes.roundedUp(to: Self.usualBlockBytes) }
    let headers = source.shards.reduce(UInt64(0)) { sum, shard in
      let tensors = shard.header.tensors.reduce(0) { $0 + $1.byteCount }
      return sum + whole(shard.fileSize - tensors)
    }
    let checksums = 8 * UInt64(ChecksumTable.count(layout: layout, kind: kind))
    let tables = whole(Self.tableBytesPerTensor * UInt64(source.tensors.count)) + (1 << 20)
    let weights =
      kind == .packed
      ? layout.layers.reduce(whole(layout.residentBytes)) { $0 + whole($1.fileBytes) } : 0
    layerBytes =
      kind == .packed ? layout.layers.reduce(0) { $0 + whole($1.fileBytes) } : 0
    packBytes = weights + headers + whole(checksums) + tables
    // Sums that wait for the digest of the source, and the journal with its next version.
    scratchBytes =
      whole(Self.waitingBytes(source: source, layout: layout) / 16) + 4 * whole(checksums) + tables
    // Claimed in steps of a layer at most; threads run half a layer ahead, and a step is rounded up.
    let layer = PackUnit.largestLayer(of: layout)
    self.stepBytes = min(weights, min(stepBytes, layer) * 5 / 4 + layer)
  }

  /// The most bytes of the source that have been read before bytes in front of them.
  private static func waitingBytes(source: GGUFFile, layout: PackLayout) -> UInt64 {
    var known = source.shards.map { shard in
      var ranges = PageRanges()
      for region in HeaderArchive.regions(of: shard) { ranges.insert(region) }
      return ranges
    }
    func read(_ index: Int) -> UInt64 {
      let tensor = source.tensors[index]
      known[tensor.shard].insert(tensor.offset..<tensor.offset + tensor.byteCount)
      return tensor.byteCount
    }
    func waiting() -> UInt64 {
      known.reduce(0) { sum, ranges in
        sum + ranges.ranges.reduce(0) { $0 + UInt64($1.count) } - ranges.prefix
      }
    }
    var most: UInt64 = 0
    for unit in PackUnit.units(of: layout, kind: .packed) {
      let before = waiting()
      var bytes: UInt64 = 0
      switch unit.content {
      case .resident: for index in layout.residentOrder { bytes += read(index) }
      case .layer(let layer): for part in layer.sources { bytes += read(part.tensor) }
      }
      most = max(most, before + bytes)
    }
    return most
  }

  /// Bytes that have to be free before a conversion begins: all of them, or, where it gives back the
  /// source as it goes, those of one step.
  public func needed(consuming: Bool) -> UInt64 {
    (consuming ? stepBytes + (packBytes >> 10) : packBytes) + scratchBytes
  }

  /// Throws `.noSpace` with the figures when the disk of `path`, which may not exist yet, has no room.
  ///
  /// `present` bytes that lie there already will be used or removed.
  /// With `volumes` that is where the layers' files go.
  public func check(
    at path: String, present: UInt64, volumes: [String] = [], consuming: Bool
  ) throws {
    guard volumes.isEmpty else {
      return try check(at: path, present: present, volumes: volumes)
    }
    let needed = needed(consuming: consuming)
    let free = try FreeSpace(at: Directory.nearest(path)).bytes
    let room = free + min(present, UInt64.max - free)
    guard needed > room else { return }
    func text(_ bytes: UInt64) -> String { Self.text(bytes) }
    var message =
      "the pack needs \(text(needed)) while it is made"
      + (consuming ? ", the source given back as it is packed" : "") + "; its disk has "
      + "\(text(free)) free"
    if present > 0 { message += " and \(text(present)) in files of this pack" }
    message += "; free \(text(needed - room)) or name another disk"
    if !consuming { message += ", or let --consume turn the source into the pack" }
    throw FileIOError(.noSpace, path: path, message: message)
  }

  /// The same for each of the disks of a striped pack.
  private func check(at path: String, present: UInt64, volumes: [String]) throws {
    let stripe = Stripe(count: volumes.count)
    var places = [(path, needed(consuming: false) - layerBytes, present)]
    for (volume, directory) in volumes.enumerated() {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
      let there = names.filter { $0.hasSuffix(".experts") }.reduce(0) {
        $0 + FreeSpace.allocatedBytes(directory + "/" + $1)
      }
      let share = layerBytes / UInt64(PackLimits.splits) * UInt64(stripe.quarters(in: volume))
      places.append((directory, share, there))
    }
    let disks = Dictionary(grouping: places) { Directory.device(Directory.nearest($0.0)) }
    for places in disks.values.sorted(by: { $0[0].0 < $1[0].0 }) {
      let needed = places.reduce(0) { $0 + $1.1 }
      let present = places.reduce(0) { $0 + $1.2 }
      let free = try FreeSpace(at: Directory.nearest(places[0].0)).bytes
      guard needed > free + min(present, UInt64.max - free) else { continue }
      throw FileIOError(
        .noSpace, path: places.map(\.0).joined(separator: ", "),
        message:
          "the part of the pack here needs \(Self.text(needed)) while it is made; its disk has "
          + "\(Self.text(free)) free"
          + (present > 0 ? " and \(Self.text(present)) in files of this pack" : "")
          + "; free \(Self.text(needed - free - present)) or name another disk")
    }
  }

  /// Bytes in the unit that fits them, two digits after the point.
  private static func text(_ bytes: UInt64) -> String {
    var value = Double(bytes)
    var unit = "bytes"
    for next in ["KiB", "MiB", "GiB", "TiB"] where value >= 1024 {
      value /= 1024
      unit = next
    }
    let hundredths = Int((value * 100).rounded(.up))
    let rest = hundredths % 100
    return unit == "bytes"
      ? "\(bytes) bytes" : "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) \(unit)"
  }
}
