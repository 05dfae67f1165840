public import Tensors

/// How one expert is brought from disk into a slot of memory and computed there.
public struct ExpertPlacement: Sendable {
  /// One read: a range of a file into a range of the slot.
  public struct Read: Sendable {
    /// Index in ``PackDirectory/files``.
    public let file: Int
    /// Where the read starts in the file; like `length` and `slotOffset` a multiple of
    /// ``ExpertPlacement/alignment``, as direct reads ask.
    public let offset: UInt64
    /// Bytes to read. A read at the end of a source file may ask for more than is there.
    public let length: Int
    /// Where in the slot the bytes go.
    public let slotOffset: Int
    /// Bytes of the slot that the checksum covers, within the range read.
    public let payload: Range<Int>
    /// XXH3-64 of the payload with ``seed``.
    public let checksum: UInt64
    /// Layer, expert and extent, as ``ChecksumTable/seed(layer:expert:extent:)`` joins them.
    public let seed: UInt64

    /// Where the payload starts in the file.
    public var payloadOffset: UInt64 { offset + UInt64(payload.lowerBound - slotOffset) }
  }

  /// One matrix of a compute slice, in the slot.
  public struct Component: Sendable {
    /// Element type.
    public let type: TensorType
    /// Rows in this slice.
    public let rows: Int
    /// Columns in this slice, whole blocks.
    public let columns: Int
    /// Bytes from one row to the next.
    public let rowStride: Int
    /// Bytes from the start of the slot.
    public let slotOffset: Int
  }

  /// A part of the expert that gives a partial output by itself.
  public struct Slice: Sendable {
    /// The reads it needs, as indices of ``ExpertPlacement/reads``.
    public let reads: Range<Int>
    /// Gate, [rows of the slice, hidden]; nil for models without one.
    public let gate: Component?
    /// Up, [rows of the slice, hidden].
    public let up: Component
    /// Down, [output, rows of the slice].
    public let down: Component
  }

  /// The reads that bring the expert into its slot: the four quarters of a record, or a read a
  /// source tensor of an in-place pack.
  public let reads: [Read]
  /// The compute slices, in the order in which their outputs are added.
  public let slices: [Slice]

  /// Alignment of direct reads that placements keep to, bytes.
  public static let alignment = 4096

  /// Bytes a slot needs for an expert of `layer`.
  static func slotBytes(_ layer: ExpertLayer, kind: PackKind) -> Int {
    switch kind {
    case .packed: layer.geometry.recordStride
    case .inPlace: layer.sources.reduce(0) { $0 + unalignedRoom($1.byteCount) }
    }
  }

  /// Room for `count` bytes that start anywhere within an aligned unit.
  private static func unalignedRoom(_ count: Int) -> Int {
    (count + alignment - 1) / alignment * alignment + alignment
  }

  /// A packed record: four equal reads, slices one after the other.
  init(
    packed layer: ExpertLayer, position: Int, expert: Int, stripe: Stripe,
    checksums: ChecksumTable
  ) {
    let geometry = layer.geometry
    let readBytes = geometry.readBytes
    reads = (0..<PackLimits.splits).map { extent in
      Read(
        file: position * stripe.count + stripe.volume(ofSlice: extent),
        offset: stripe.offset(expert: expert, slice: extent, quarterBytes: readBytes),
        length: readBytes, slotOffset: extent * readBytes,
        payload: extent * readBytes..<(extent + 1) * readBytes,
        checksum: checksums.values[
          checksums.index(layerPosition: position, expert: expert, extent: extent)],
        seed: ChecksumTable.seed(layer: layer.layer, expert: expert, extent: extent))
    }
    let readsPerSlice = PackLimits.splits / geometry.computeSlices
    slices = (0..<geometry.computeSlices).map { slice in
      func component(_ role: ExpertRole) -> Component? {
        geometry.components.first { $0.role == role }.map {
          Component(
            type: $0.type, rows: $0.rows, columns: $0.columns, rowStride: $0.rowBytes,
            slotOffset: slice * geometry.sliceStride + $0.offset)
        }
      }
      return Self.slice(
        reads: slice * readsPerSlice..<(slice + 1) * readsPerSlice, component: component)
    }
  }

  /// An expert in its source: a read a tensor, of which every slice takes rows or columns.
  init(
    inPlace layer: ExpertLayer, position: Int, expert: Int, checksums: ChecksumTable
  ) {
    var reads: [Read] = []
    var starts: [ExpertRole: Int] = [:]
    var room = 0
    for (extent, source) in layer.sources.enumerated() {
      let wanted = source.offset(ofExpert: expert)
      let offset = wanted / UInt64(Self.alignment) * UInt64(Self.alignment)
      let lead = Int(wanted - offset)
      let length = (lead + source.byteCount + Self.alignment - 1) / Self.alignment * Self.alignment
      reads.append(
        Read(
          file: source.shard, offset: offset, length: length, slotOffset: room,
          payload: room + lead..<room + lead + source.byteCount,
          checksum: checksums.values[
            checksums.index(layerPosition: position, expert: expert, extent: extent)],
          seed: ChecksumTable.seed(layer: layer.layer, expert: expert, extent: extent)))
      starts[source.role] = room + lead
      if source.role == .gateUp {
        starts[.gate] = room + lead
        starts[.up] = room + lead + source.byteCount / 2
      }
      room += Self.unalignedRoom(source.byteCount)
    }
    let geometry = layer.geometry
    let all = 0..<reads.count
    self.reads = reads
    slices = (0..<geometry.computeSlices).map { slice in
      func component(_ role: ExpertRole) -> Component? {
        guard let start = starts[role],
          let part = geometry.components.first(where: { $0.role == role })
        else { return nil }
        let isDown = role == .down
        return Component(
          type: part.type, rows: part.rows, columns: part.columns,
          rowStride: isDown ? part.rowBytes * geometry.computeSlices : part.rowBytes,
          slotOffset: start + slice * (isDown ? part.rowBytes : part.byteCount))
      }
      return Self.slice(reads: all, component: component)
    }
  }

  private static func slice(
    reads: Range<Int>, component: (ExpertRole) -> Component?
  ) -> Slice {
    guard let up = component(.up), let down = component(.down) else {
      preconditionFailure("a layer's geometry always has up and down")
    }
    return Slice(reads: reads, gate: component(.gate), up: up, down: down)
  }
}
