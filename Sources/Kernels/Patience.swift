/// How long a thread spins before it sleeps, which it learns from its sleeps. Each thread has its own.
///
/// A sleep shorter than the longest spin was not worth its wake-up, tens of microseconds in a virtual machine: the
/// thread becomes more patient. After a longer one it was right to leave the core, which readers of experts or
/// other processes may want, and becomes less so. On two cores of Emerald Rapids, against 400 rounds always:
/// decoding from memory 7 to 12 % faster, from a disk with half of the experts in memory 5 to 9 %, with a quarter
/// 1 to 4 %. With twice as many rounds the last is 1 to 3 % slower than with 400.
struct Patience {
  /// Rounds of waiting before sleep, each a look at what is waited for and 20 to 50 ns.
  private(set) var rounds: Int
  private let fewest: Int
  private let most: Int

  /// Shorter sleeps than this are regretted: about what `most` rounds take.
  private static let short = Duration.microseconds(80)

  /// With `isSpinning` false a thread sleeps at once, whatever comes.
  init(isSpinning: Bool) {
    (fewest, most) = isSpinning ? (400, 1600) : (0, 0)
    rounds = fewest
  }

  /// Has the calling thread sleep in `sleep`, which returns when it is woken, and learns from how long that took.
  mutating func sleep(_ sleep: () -> Void) {
    guard most > 0 else { return sleep() }
    let start = ContinuousClock.now
    sleep()
    rounds =
      ContinuousClock.now - start < Self.short ? min(rounds * 2, most) : max(rounds / 2, fewest)
  }
}
