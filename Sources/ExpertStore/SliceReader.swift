internal import ExpertPack
internal import FileIO
internal import Tensors

/// Reads slices of experts into memory and checks them. Holds no state that changes.
struct SliceReader: Sendable {
  /// What a finished read did.
  struct Report {
    var bytesRead: Int
    /// 0 when the checksum was not asked for.
    var verifiedBytes: Int
  }

  private let files: [File]
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
    packName = source.name
  }

  /// Throws unless every read and view of `placement` stays inside a slot of `slotBytes`.
  func validate(
    _ placement: ExpertPlacement, layer: Int, expert: Int, slotBytes: Int
  ) throws(ExpertStoreError) {
    func refuse(_ reason: String) -> ExpertStoreError {
      ExpertStoreError(
        .invalidPlacement, "\(packName): layer \(layer), expert \(expert): \(reason)")
    }
    guard placement.reads.count <= 64, !placement.reads.isEmpty else {
      throw refuse("\(placement.reads.count) reads, expected 1 to 64")
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

  /// Reads one slice into its place in the slot at `slot`, and checks it when `verify` is true.
  func read(
    _ read: ExpertPlacement.Read, slot: UnsafeMutableRawPointer, verify: Bool,
    layer: Int, expert: Int, index: Int
  ) -> Result<Report, ExpertStoreError> {
    let file = files[read.file]
    let target = UnsafeMutableRawBufferPointer(start: slot + read.slotOffset, count: read.length)
    let needed = read.payload.upperBound - read.slotOffset
    let place = ExpertStoreError.Place(
      file: file.path, layer: layer, expert: expert, slice: index,
      bytes: read.payloadOffset..<read.payloadOffset + UInt64(read.payload.count))
    func failure(_ code: ExpertStoreError.Code, _ finding: String) -> ExpertStoreError {
      ExpertStoreError(
        code,
        "\(file.path): layer \(layer), expert \(expert), slice \(index): \(finding) "
          + "(bytes \(place.bytes.lowerBound)..<\(place.bytes.upperBound)); run: "
          + "moepack verify \(packName)", place: place)
    }
    let count: Int
    do {
      count = try file.read(into: target, at: read.offset)
    } catch {
      return .failure(failure(.unreadable, error.message))
    }
    guard count >= needed else {
      return .failure(
        failure(
          .damaged, "the file ends at byte \(read.offset + UInt64(count)), it is cut short"))
    }
    guard verify else { return .success(Report(bytesRead: count, verifiedBytes: 0)) }
    let payload = UnsafeRawBufferPointer(
      start: slot + read.payload.lowerBound, count: read.payload.count)
    let checksum = XXH3.hash64(payload, seed: read.seed)
    guard checksum == read.checksum else {
      return .failure(
        failure(
          .damaged,
          "checksum is \(Digest128.hexadecimal(checksum)), the pack says "
            + Digest128.hexadecimal(read.checksum)))
    }
    return .success(Report(bytesRead: count, verifiedBytes: payload.count))
  }
}
