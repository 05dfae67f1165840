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
  /// Seconds in which compute stood still for a slice or a slot.
  public var stallSeconds = 0.0
  /// Bytes delivered in these seconds: of every read the share of its own time that fell into them.
  public var stallBytes = 0.0

  /// Of a disk that did nothing.
  public init() {}

  /// Reads in flight while there was any, 0 when there was none.
  public var meanReadsInFlight: Double { busySeconds > 0 ? readSeconds / busySeconds : 0 }

  /// Bytes a second that the disk delivered while compute stood still, 0 when it never did.
  public var stallBytesPerSecond: Double { stallSeconds > 0 ? stallBytes / stallSeconds : 0 }

  static func - (later: DiskActivity, earlier: DiskActivity) -> DiskActivity {
    var difference = DiskActivity()
    difference.busySeconds = later.busySeconds - earlier.busySeconds
    difference.readSeconds = later.readSeconds - earlier.readSeconds
    difference.demandSeconds = later.demandSeconds - earlier.demandSeconds
    difference.stallSeconds = later.stallSeconds - earlier.stallSeconds
    difference.stallBytes = later.stallBytes - earlier.stallBytes
    return difference
  }
}

/// Keeps a ``DiskActivity`` up to date as reads and stalls come and go. Its owner serialises access.
package struct DiskMeter {
  /// Reads that run at once, at most.
  package var depth = Int.max
  private var outstanding = 0
  /// Those of them that somebody waits for.
  private var demand = 0
  private var activity = DiskActivity()
  private var maximum = 0
  private var lastChange: Double
  /// Users of the store that stand still.
  private var stalled = 0
  private var stallStart = 0.0
  /// The last stalls that are over, by their number modulo the count; a read lasts over fewer.
  private var stalls = [(start: Double, end: Double)](repeating: (0, 0), count: 64)
  private var stallCount = 0

  /// A meter that starts at `now`, in seconds since some moment, with no read in flight.
  package init(at now: Double) { lastChange = now }

  /// Whether no read that somebody waits for is queued or running.
  package var isIdle: Bool { demand == 0 }

  private var inFlight: Int { min(outstanding, depth) }

  /// What the disk did until `now`.
  package func activity(at now: Double) -> DiskActivity {
    var current = activity
    if stalled > 0 { current.stallSeconds += now - stallStart }
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
    let stallSeconds = activity.stallSeconds
    activity = activity(at: now)
    // A stall is added once it is over.
    activity.stallSeconds = stallSeconds
    lastChange = now
    outstanding += change
    demand += demandChange
    precondition(demand >= 0 && demand <= outstanding)
    maximum = max(maximum, inFlight)
  }

  /// Notes at `now` that one more user of the store stands still.
  package mutating func beginStall(at now: Double) {
    if stalled == 0 { stallStart = now }
    stalled += 1
  }

  /// Notes at `now` that one of the users that stood still goes on.
  package mutating func endStall(at now: Double) {
    precondition(stalled > 0)
    stalled -= 1
    guard stalled == 0 else { return }
    activity.stallSeconds += now - stallStart
    stalls[stallCount % stalls.count] = (stallStart, now)
    stallCount += 1
  }

  /// Notes that a read which took the last `seconds` before `now` has delivered `bytes`.
  package mutating func deliver(_ bytes: Int, seconds: Double, at now: Double) {
    guard bytes > 0, seconds > 0 else { return }
    let start = now - seconds
    var stallSeconds = stalled > 0 ? now - max(start, stallStart) : 0
    for number in stride(from: stallCount, to: max(0, stallCount - stalls.count), by: -1) {
      let stall = stalls[(number - 1) % stalls.count]
      guard stall.end > start else { break }
      stallSeconds += stall.end - max(start, stall.start)
    }
    activity.stallBytes += Double(bytes) * stallSeconds / seconds
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
