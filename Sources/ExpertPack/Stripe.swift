/// How the quarters of expert records are spread over volumes: quarter s of every record lies in volume
/// `s mod count`, one record after the other.
///
/// A layer's file stays one run of records wherever it is spoken of as a whole: its *logical* offsets
/// are those of the file that an unstriped pack has.
public struct Stripe: Hashable, Sendable {
  /// Number of volumes, 1 to ``PackLimits/splits``.
  public let count: Int

  /// All quarters in one file, as in a pack that is not striped.
  public static let none = Stripe(count: 1)

  /// A stripe over `count` volumes.
  public init(count: Int) {
    precondition((1...PackLimits.splits).contains(count))
    self.count = count
  }

  /// The volume that has quarter `slice` of every record.
  public func volume(ofSlice slice: Int) -> Int { slice % count }

  /// Quarters of a record in `volume`.
  public func quarters(in volume: Int) -> Int {
    (PackLimits.splits - volume + count - 1) / count
  }

  /// Where quarter `slice` of record `expert` begins in the file of its volume.
  public func offset(expert: Int, slice: Int, quarterBytes: Int) -> UInt64 {
    UInt64(expert * quarters(in: volume(ofSlice: slice)) + slice / count) * UInt64(quarterBytes)
  }

  /// Bytes of the file of `layer` in `volume`.
  public func fileBytes(_ layer: ExpertLayer, volume: Int) -> UInt64 {
    UInt64(layer.expertCount * quarters(in: volume)) * UInt64(layer.geometry.readBytes)
  }

  /// Bytes in `volume` of the first `logical` bytes of records.
  package func bytes(of logical: UInt64, quarterBytes: UInt64, volume: Int) -> UInt64 {
    let splits = UInt64(PackLimits.splits)
    let (whole, rest) = logical.quotientAndRemainder(dividingBy: quarterBytes)
    let slice = Int(whole % splits)
    let before = (0..<slice).count { self.volume(ofSlice: $0) == volume }
    return (whole / splits * UInt64(quarters(in: volume)) + UInt64(before)) * quarterBytes
      + (self.volume(ofSlice: slice) == volume ? rest : 0)
  }

  /// Number, among all quarters of the records, of quarter number `index` of `volume`.
  package func quarter(_ index: Int, of volume: Int) -> Int {
    let (record, position) = index.quotientAndRemainder(dividingBy: quarters(in: volume))
    return record * PackLimits.splits + volume + position * count
  }
}
