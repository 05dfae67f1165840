/// What a repair did to a pack.
public struct RepairReport: Sendable {
  /// A damaged place that could not be made whole.
  public struct Remainder: Sendable, Encodable {
    /// The place and what is wrong with it.
    public let finding: PackFinding
    /// Why it was left as it is.
    public let reason: String
    /// Whether the system refused, rather than the source lacking the bytes.
    public let isSystemFailure: Bool

    private enum CodingKeys: CodingKey {
      case file, layer, expert, slice, offset, length, kind, detail, reason
    }

    /// The finding's members and `reason`.
    public func encode(to encoder: any Encoder) throws {
      try finding.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(reason, forKey: .reason)
    }
  }

  /// Places that were written again, as they were found: by file, then offset.
  public internal(set) var repaired: [PackFinding] = []
  /// Places that are still damaged.
  public internal(set) var remaining: [Remainder] = []
  /// Things that were taken on less than proof, and what follows from that.
  public internal(set) var notes: [String] = []
  /// Bytes of the pack that were read and checked before anything was written.
  public internal(set) var bytesChecked: UInt64 = 0
  /// Bytes written to files of the pack.
  public internal(set) var bytesWritten: UInt64 = 0

  /// Whether the pack is as it was made.
  public var isWhole: Bool { remaining.isEmpty }

  /// Notes that `finding` stays.
  mutating func leave(_ finding: PackFinding, _ reason: String, isSystemFailure: Bool = false) {
    remaining.append(.init(finding: finding, reason: reason, isSystemFailure: isSystemFailure))
  }
}

/// Told what a repair is doing, from any thread.
public struct RepairProgress: Sendable {
  /// Called when a stage begins, with its name as a participle ("verifying") and the bytes that will be
  /// reported; 0 while not known.
  public let stage: @Sendable (_ name: String, _ bytes: UInt64) -> Void
  /// Called with bytes done in the stage.
  public let add: PackProgress

  /// Progress for `stage` and `add`.
  public init(
    stage: @escaping @Sendable (_ name: String, _ bytes: UInt64) -> Void,
    add: @escaping PackProgress
  ) {
    self.stage = stage
    self.add = add
  }
}
