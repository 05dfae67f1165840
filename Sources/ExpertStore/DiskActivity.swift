/// How busy a store kept its disk: with every read, those that warm the cache included.
///
/// A read is in flight from its submission to its completion, before its checksum is computed. Of
/// more reads than the queue's depth only so many count: the others wait their turn.
public struct DiskActivity: Sendable, Equatable {
  /// Seconds in which at least one read was in flight.
  public var busySeconds = 0.0
  /// Reads in flight, summed over time: two reads of a second each are 2, together or not.
  public var readSeconds = 0.0

  /// Of a disk that did nothing.
  public init() {}

  /// Reads in flight while there was any, 0 when there was none.
  public var meanReadsInFlight: Double { busySeconds > 0 ? readSeconds / busySeconds : 0 }

  static func - (later: DiskActivity, earlier: DiskActivity) -> DiskActivity {
    var difference = DiskActivity()
    difference.busySeconds = later.busySeconds - earlier.busySeconds
    difference.readSeconds = later.readSeconds - earlier.readSeconds
    return difference
  }
}

/// Keeps a ``DiskActivity`` up to date as reads come and go. Its owner serialises access.
package struct DiskMeter {
  /// Reads that run at once, at most.
  package var depth = Int.max
  private var outstanding = 0
  private var activity = DiskActivity()
  private var maximum = 0
  private var lastChange: ContinuousClock.Instant

  /// A meter that starts at `now` with no read in flight.
  package init(at now: ContinuousClock.Instant = .now) { lastChange = now }

  private var inFlight: Int { min(outstanding, depth) }

  /// What the disk did until `now`.
  package func activity(at now: ContinuousClock.Instant) -> DiskActivity {
    var current = activity
    guard outstanding > 0 else { return current }
    let seconds = (now - lastChange).seconds
    current.busySeconds += seconds
    current.readSeconds += seconds * Double(inFlight)
    return current
  }

  /// Notes at `now` that `change` reads were submitted, or have ended when it is negative.
  package mutating func add(_ change: Int, at now: ContinuousClock.Instant) {
    activity = activity(at: now)
    lastChange = now
    outstanding += change
    precondition(outstanding >= 0)
    maximum = max(maximum, inFlight)
  }

  /// Most reads in flight at once since the last call.
  package mutating func takeMaximum() -> Int {
    defer { maximum = inFlight }
    return maximum
  }
}
