internal import ExpertPack
internal import FileIO
internal import Tensors

/// The files of a pack, and what their bytes have to be. Holds no state that changes.
struct SliceReader: Sendable {
  /// What is wrong with the bytes of a slice.
  enum Fault {
    /// The system did not deliver them.
    case failed(FileIOError)
    /// The file ended at this byte.
    case endOfFile(UInt64)
    /// Their checksum is this one.
    case checksum(UInt64)
  }

  let files: [File]
  /// The files' content stamps when they were opened.
  private let stamps: [UInt64]
  private let packName: String

  /// Opens every file of `source` for direct reads, or for buffered ones where the file system
  /// has none or wants a larger alignment than packs have.
  init(source: ExpertSource) throws(FileIOError) {
    var files: [File] = []
    for path in source.files {
      let direct = try File.readingDirect(path)
      let suits = ExpertPlacement.alignment % direct.directAlignment == 0
      files.append(suits ? direct : try File.reading(path))
    }
    self.files = files
    stamps = files.map(\.contentStamp)
    packName = source.name
  }

  /// Whether somebody wrote to file `index` since it was opened: what was verified before may have
  /// changed.
  func hasChanged(_ index: Int) -> Bool { files[index].contentStamp != stamps[index] }

  /// Throws unless every read and view of `placement` stays inside a slot of `slotBytes`.
  func validate(
    _ placement: ExpertPlacement, layer: Int, expert: Int, slotBytes: Int
  ) throws(ExpertStoreError) {
    func refuse(_ reason: String) -> ExpertStoreError {
      ExpertStoreError(
        .invalidPlacement, "\(packName): layer \(layer), expert \(expert): \(reason)")
    }
    guard placement.reads.count <= 32, !placement.reads.isEmpty else {
      throw refuse("\(placement.reads.count) reads, expected 1 to 32")
    }
    for (index, read) in placement.reads.enumerated() {
      let aligned =
        read.offset % UInt64(ExpertPlacement.alignment) == 0
        && read.length % ExpertPlacement.alignment == 0
        && read.slotOffset % ExpertPlacement.alignment == 0
      guard files.indices.contains(read.file), aligned, read.length > 0, read.slotOffset >= 0,
        read.length <= slotBytes, read.slotOffset <= slotBytes - read.length,
        read.payload.lowerBound >= read.slotOffset,
        read.payload.upperBound <= read.slotOffset + read.length
      else {
        throw refuse(
          "slice \(index) is read to bytes \(read.slotOffset)..<\(read.slotOffset + read.length) "
            + "of a slot of \(slotBytes) bytes; it does not fit or is not aligned")
      }
    }
    for (index, slice) in placement.slices.enumerated() {
      for component in [slice.gate, slice.up, slice.down].compactMap({ $0 }) {
        // The last row of a column range ends before its stride does.
        let rowBytes = component.type.rowBytes(columns: component.columns)
        let (lead, overflow) = (component.rows - 1).multipliedReportingOverflow(
          by: component.rowStride)
        let span = lead &+ rowBytes
        guard !overflow, component.rows > 0, component.rowStride >= rowBytes,
          component.slotOffset >= 0, span >= 0, span <= slotBytes,
          component.slotOffset <= slotBytes - span,
          slice.reads.lowerBound >= 0, slice.reads.upperBound <= placement.reads.count
        else {
          throw refuse("compute slice \(index) lies outside its slot of \(slotBytes) bytes")
        }
      }
    }
  }

  /// The checksum of the payload of `read` in the slot at `slot`, when it is a wrong one.
  func mismatch(_ read: ExpertPlacement.Read, slot: UnsafeMutableRawPointer) -> Fault? {
    let payload = UnsafeRawBufferPointer(
      start: slot + read.payload.lowerBound, count: read.payload.count)
    let checksum = XXH3.hash64(payload, seed: read.seed)
    return checksum == read.checksum ? nil : .checksum(checksum)
  }

  /// The error for `fault` in read `index` of an expert, with its place and the next step.
  func error(
    _ fault: Fault, in read: ExpertPlacement.Read, layer: Int, expert: Int, index: Int
  ) -> ExpertStoreError {
    let path = files[read.file].path
    let place = ExpertStoreError.Place(
      file: path, layer: layer, expert: expert, slice: index,
      bytes: read.payloadOffset..<read.payloadOffset + UInt64(read.payload.count))
    let (code, finding): (ExpertStoreError.Code, String) =
      switch fault {
      case .failed(let error): (.unreadable, error.message)
      case .endOfFile(let byte): (.damaged, "the file ends at byte \(byte), it is cut short")
      case .checksum(let found):
        (
          .damaged,
          "checksum is \(Digest128.hexadecimal(found)), the pack says "
            + Digest128.hexadecimal(read.checksum)
        )
      }
    return ExpertStoreError(
      code,
      "\(path): layer \(layer), expert \(expert), slice \(index): \(finding) "
        + "(bytes \(place.bytes.lowerBound)..<\(place.bytes.upperBound)); run: "
        + "moepack verify \(packName)", place: place)
  }
}
