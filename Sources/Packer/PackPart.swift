package import ExpertPack
internal import FileIO

/// A file of weights of a packed directory, divided as its checksums divide it: units are quarters of
/// expert records, or blocks of the resident image.
package struct PackPart: Sendable {
  enum Content: Sendable {
    case resident
    /// `position` is the layer's index in the layout.
    case layer(ExpertLayer, position: Int)
  }

  package let file: PackDirectory.ExpectedFile
  let content: Content
  /// The files on the disk: one a volume of a striped pack.
  package let stored: [PackDirectory.ExpectedFile]
  let stripe: Stripe
  /// Bytes of a unit; the last one of a resident image may be shorter.
  package let unitBytes: Int

  /// How `file` of `pack` is divided; nil when it has one digest and no units.
  init?(_ file: PackDirectory.ExpectedFile, of pack: PackDirectory) {
    self.file = file
    stored = pack.storedFiles(of: file)
    stripe = stored.count > 1 ? pack.stripe : .none
    if let position = pack.layout.layers.firstIndex(where: { $0.fileName == file.name }) {
      let layer = pack.layout.layers[position]
      content = .layer(layer, position: position)
      unitBytes = layer.geometry.readBytes
    } else if file.name == PackDirectory.residentFileName {
      content = .resident
      unitBytes = PackLimits.residentBlockBytes
    } else {
      return nil
    }
  }

  /// The files of weights of `pack`, as the manifest lists them; none of an in-place pack.
  package static func parts(of pack: PackDirectory) -> [PackPart] {
    pack.allFiles.compactMap { PackPart($0, of: pack) }
  }

  /// Units of the file.
  package var unitCount: Int {
    Int((file.byteCount + UInt64(unitBytes) - 1) / UInt64(unitBytes))
  }

  /// Bytes of the file that are unit number `unit`.
  package func range(_ unit: Int) -> Range<UInt64> {
    let start = UInt64(unit) * UInt64(unitBytes)
    return start..<min(file.byteCount, start + UInt64(unitBytes))
  }

  /// Where the bytes of the file are on the disk.
  var place: RecordPlace {
    stored.count > 1
      ? RecordPlace(paths: stored.map(\.path), quarterBytes: unitBytes)
      : RecordPlace(stored[0].path)
  }

  /// The file on the disk with the content of `unit`, and where in it.
  func location(_ unit: Int) -> (file: PackDirectory.ExpectedFile, range: Range<UInt64>) {
    guard stored.count > 1, let place = place(unit) else { return (stored[0], range(unit)) }
    let start = stripe.offset(
      expert: place.expert, slice: place.slice, quarterBytes: unitBytes)
    return (
      stored[stripe.volume(ofSlice: place.slice)], start..<start + UInt64(unitBytes)
    )
  }

  /// The units that `range` of number `index` of ``stored`` has bytes of.
  func units(in range: Range<UInt64>, ofStored index: Int) -> Set<Int> {
    guard !range.isEmpty else { return [] }
    let first = Int(range.lowerBound / UInt64(unitBytes))
    let last = Int((range.upperBound - 1) / UInt64(unitBytes))
    return Set((first...last).map { stored.count > 1 ? stripe.quarter($0, of: index) : $0 })
  }

  /// Layer, expert and slice of a unit; nil for blocks.
  package func place(_ unit: Int) -> (layer: Int, expert: Int, slice: Int)? {
    guard case .layer(let layer, _) = content else { return nil }
    let (expert, slice) = unit.quotientAndRemainder(dividingBy: PackLimits.splits)
    return (layer.layer, expert, slice)
  }

  /// XXH3-64 of `bytes` as the content of `unit`.
  func checksum(of bytes: UnsafeRawBufferPointer, unit: Int) -> UInt64 {
    let seed =
      place(unit).map { ChecksumTable.seed(layer: $0.layer, expert: $0.expert, extent: $0.slice) }
      ?? ChecksumTable.seed(residentBlock: unit)
    return XXH3.hash64(bytes, seed: seed)
  }

  /// Where the checksum of `unit` stands in the table.
  func checksumIndex(_ unit: Int, in table: ChecksumTable) -> Int {
    guard case .layer(_, let position) = content, let place = place(unit) else {
      return table.index(residentBlock: unit)
    }
    return table.index(layerPosition: position, expert: place.expert, extent: place.slice)
  }

  /// The finding about `bytes` as the content of `unit`; nil when they have the checksum of `table`.
  package func damage(
    unit: Int, bytes: UnsafeRawBufferPointer, table: ChecksumTable
  ) -> PackFinding? {
    let found = checksum(of: bytes, unit: unit)
    let expected = table.values[checksumIndex(unit, in: table)]
    guard found != expected else { return nil }
    return finding(
      .damaged, unit: unit,
      "checksum is \(Digest128.hexadecimal(found)), expected \(Digest128.hexadecimal(expected))")
  }

  /// A finding about `unit`.
  func finding(_ kind: PackFinding.Kind, unit: Int, _ detail: String) -> PackFinding {
    let place = place(unit)
    let (file, range) = location(unit)
    return PackFinding(
      kind, file: file.name, layer: place?.layer, expert: place?.expert, slice: place?.slice,
      offset: range.lowerBound, length: range.upperBound - range.lowerBound, detail: detail)
  }
}
