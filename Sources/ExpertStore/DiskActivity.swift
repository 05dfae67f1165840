/// How busy a store kept its disk: with every read, those that warm the cache included.
///
/// A read is in flight from its submission to its completion, before its checksum is computed. Of
/// more reads than the queue's depth only so many count: the others wait their turn.
public struct DiskActivity: Sendable, Equatable {
  /// Seconds in which at least one read was in flight.
  public var busySeconds = 0.0
  /// Reads in flight, summed over time: two reads of a second each are 2, together or not.
  public var readSeconds = 0.0
  /// Seconds in which at least one read that somebody waited for was queued or running.
  public var demandSeconds = 0.0

  /// Of a disk that did nothing.
  public init() {}

  /// Reads in flight while there was any, 0 when there was none.
  public var meanReadsInFlight: Double { busySeconds > 0 ? readSeconds / busySeconds : 0 }

  static func - (later: DiskActivity, earlier: DiskActivity) -> DiskActivity {
    var difference = DiskActivity()
    difference.busySeconds = later.busySeconds - earlier.busySeconds
    difference.readSeconds = later.readSeconds - earlier.readSeconds
    difference.demandSeconds = later.demandSeconds - earlier.demandSeconds
    return difference
  }
}

/// Keeps a ``DiskActivity`` up to date as reads come and go. Its owner serialises access.
package struct DiskMeter {
  /// Reads that run at once, at most.
  package var depth = Int.max
  private var outstanding = 0
  /// Those of them that somebody waits for.
  private var demand = 0
  private var activity = DiskActivity()
  private var maximum = 0
  private var lastChange: Double

  /// A meter that starts at `now`, in seconds since some moment, with no read in flight.
  package init(at now: Double) { lastChange = now }

  /// Whether no read that somebody waits for is queued or running.
  package var isIdle: Bool { demand == 0 }

  private var inFlight: Int { min(outstanding, depth) }

  /// What the disk did until `now`.
  package func activity(at now: Double) -> DiskActivity {
    var current = activity
    guard outstanding > 0 else { return current }
    let seconds = now - lastChange
    current.busySeconds += seconds
    current.readSeconds += seconds * Double(inFlight)
    if demand > 0 { current.demandSeconds += seconds }
    return current
  }

  /// Notes at `now` that `change` reads were submitted, or have ended when it is negative, and that
  /// somebody waits for `demandChange` more, or fewer.
  package mutating func add(_ change: Int, demand demandChange: Int, at now: Double) {
    activity = activity(at: now)
    lastChange = now
    outstanding += change
    demand += demandChange
    precondition(demand >= 0 && demand <= outstanding)
    maximum = max(maximum, inFlight)
  }

  /// Most reads in flight at once since the last call.
  package mutating func takeMaximum() -> Int {
    defer { maximum = inFlight }
    return maximum
  }
}

/// Seconds since some moment, never going back.
package typealias MonotonicSeconds = @Sendable () -> Double

/// The system's clock as seconds since it was made.
enum SystemClock {
  static func seconds() -> MonotonicSeconds {
    let start = ContinuousClock.now
    return { (ContinuousClock.now - start).seconds }
  }
}
