internal import CKernels
internal import CPlatform
internal import Synchronization

/// What the threads of a ``ComputePool`` share: one job at a time, and the places to wait. A job
/// allocates nothing and takes no lock; it enters the kernel only to wake threads that sleep.
///
/// A job is published through `gate`. Workers that come in time join it; those that sleep or are not
/// scheduled are not waited for, so a busy machine costs no more than their share. The caller takes
/// shares itself, closes the gate, and waits for the workers inside to leave.
final class ComputeCrew: @unchecked Sendable {
  // Sendable: `job` is written while no worker is inside the gate and the owner holds `isBusy`, and
  // read by workers inside. All else is atomic.

  struct Job {
    /// Lives until the job's ``ComputeCrew/run(_:)`` returns.
    let body: cp_range_closure
    let count: Int
    /// Elements of a share at least.
    let smallest: Int
    /// A thread takes what is left divided by this.
    let divisor: Int
  }

  // Words that different threads write while others wait for them, each in a cache line of its own (two
  // lines, which some processors fetch together), and with an address, to sleep at.
  private let memory = UnsafeMutableRawPointer.allocate(byteCount: 4 * 128, alignment: 128)
  /// Bit 0: open. Bit 1: the owner sleeps until it is empty. Bits 2..<16: workers inside. Above: number
  /// of the job, which comes round after 65,536 of them: a worker that slept through just so many misses
  /// one more.
  private let gate: UnsafeMutablePointer<Atomic<UInt32>>
  /// First element that no thread has taken.
  private let next: UnsafeMutablePointer<Atomic<Int>>
  /// Changes when the last worker has left an owner that sleeps.
  private let departures: UnsafeMutablePointer<Atomic<UInt32>>
  /// Bits 0..<16: workers that sleep, or are about to. Above: how many of these have been woken and are not
  /// back yet, which need no second call into the kernel; never more than will come back.
  private let sleepers: UnsafeMutablePointer<Atomic<UInt32>>
  private let isBusy = Atomic<Bool>(false)
  private let isStopped = Atomic<Bool>(false)
  private var job: Job?

  private let isSpinning: Bool
  /// The owner's, between ``begin()`` and ``end()``.
  private var patience: Patience

  private static let open: UInt32 = 1
  private static let ownerSleeps: UInt32 = 2
  private static let worker: UInt32 = 4
  private static let workers: UInt32 = 0xfffc
  private static let number: UInt32 = 1 << 16
  /// Workers that the gate can count.
  static let largestCount = Int(workers / worker)

  /// Without `isSpinning` threads that wait sleep at once.
  init(isSpinning: Bool) {
    self.isSpinning = isSpinning
    patience = Patience(isSpinning: isSpinning)
    gate = memory.bindMemory(to: Atomic<UInt32>.self, capacity: 1)
    next = (memory + 128).bindMemory(to: Atomic<Int>.self, capacity: 1)
    departures = (memory + 256).bindMemory(to: Atomic<UInt32>.self, capacity: 1)
    sleepers = (memory + 384).bindMemory(to: Atomic<UInt32>.self, capacity: 1)
    gate.initialize(to: Atomic(0))
    next.initialize(to: Atomic(0))
    departures.initialize(to: Atomic(0))
    sleepers.initialize(to: Atomic(0))
  }

  deinit {
    gate.deinitialize(count: 1)
    next.deinitialize(count: 1)
    departures.deinitialize(count: 1)
    sleepers.deinitialize(count: 1)
    memory.deallocate()
  }

  /// Claims the crew for one job; false when another has it.
  func begin() -> Bool {
    isBusy.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing)
      .exchanged
  }

  /// Gives the crew back.
  func end() { isBusy.store(false, ordering: .releasing) }

  /// Runs `job` on the calling thread and all workers that come. Between ``begin()`` and ``end()``.
  func run(_ job: Job) {
    self.job = job
    next.pointee.store(0, ordering: .relaxed)
    let last = gate.pointee.load(ordering: .relaxed) & ~(Self.number - 1)
    // In one order with a worker's look at the gate before it counts itself: a sleeper that is seen here
    // either sleeps already or finds that the gate has changed.
    gate.pointee.store((last &+ Self.number) | Self.open, ordering: .sequentiallyConsistent)
    wakeSleepers(shares: (job.count + job.smallest - 1) / job.smallest)

    takeShares(of: job)
    gate.pointee.bitwiseAnd(~Self.open, ordering: .acquiringAndReleasing)
    waitUntilEmpty()
    self.job = nil
  }

  /// A worker's life: join each job that is open, wait in between.
  func serve() {
    var seen: UInt32 = 0
    var patience = Patience(isSpinning: isSpinning)
    while let number = waitForJob(after: seen, &patience) {
      seen = number
      guard enter(number) else { continue }
      if let job { takeShares(of: job) }
      leave()
    }
  }

  /// Ends ``serve()`` on all threads. No job is under way.
  func stop() {
    isStopped.store(true, ordering: .releasing)
    // A job that is not open: whoever is about to sleep finds that the gate has changed.
    gate.pointee.add(Self.number, ordering: .sequentiallyConsistent)
    cp_wake(gate, Int32.max)
  }

  /// Wakes as many workers as there are shares for, besides the caller's and those that are woken already.
  private func wakeSleepers(shares: Int) {
    var value = sleepers.pointee.load(ordering: .sequentiallyConsistent)
    while true {
      let asleep = value & 0xffff
      let woken = value >> 16
      let count = min(asleep, UInt32(clamping: shares - 1))
      guard count > woken else { return }
      let (done, current) = sleepers.pointee.weakCompareExchange(
        expected: value, desired: asleep | count << 16, ordering: .sequentiallyConsistent)
      if done { return cp_wake(gate, Int32(count - woken)) }
      value = current
    }
  }

  /// Sleeps while the gate is `value`, until woken, or for no reason less.
  private func sleep(while value: UInt32) {
    sleepers.pointee.add(1, ordering: .sequentiallyConsistent)
    cp_wait_while_equal(gate, value)
    var value = sleepers.pointee.load(ordering: .relaxed)
    while true {
      let woken = value >> 16
      let (done, current) = sleepers.pointee.weakCompareExchange(
        expected: value, desired: ((value & 0xffff) - 1) | (woken > 0 ? woken - 1 : 0) << 16,
        ordering: .relaxed)
      if done { return }
      value = current
    }
  }

  /// Takes shares until none is left: long ones first, whose memory is one stream, short ones in the end,
  /// which even out threads that were interrupted.
  private func takeShares(of job: Job) {
    var first = next.pointee.load(ordering: .relaxed)
    while first < job.count {
      let left = job.count - first
      let end = first + min(left, max(job.smallest, left / job.divisor))
      let (done, current) = next.pointee.weakCompareExchange(
        expected: first, desired: end, ordering: .relaxed)
      if done {
        cp_call_range_closure(job.body, first, end)
        first = next.pointee.load(ordering: .relaxed)
      } else {
        first = current
      }
    }
  }

  /// Joins job `number` if it is still open.
  private func enter(_ number: UInt32) -> Bool {
    var value = gate.pointee.load(ordering: .relaxed)
    while value & Self.open != 0, value & ~(Self.number - 1) == number {
      let (done, current) = gate.pointee.weakCompareExchange(
        expected: value, desired: value + Self.worker, ordering: .acquiringAndReleasing)
      if done { return true }
      value = current
    }
    return false
  }

  private func leave() {
    let value = gate.pointee.subtract(Self.worker, ordering: .acquiringAndReleasing).newValue
    guard value & (Self.open | Self.workers) == 0, value & Self.ownerSleeps != 0 else { return }
    departures.pointee.add(1, ordering: .releasing)
    cp_wake(departures, 1)
  }

  private func waitUntilEmpty() {
    for _ in 0..<patience.rounds {
      if gate.pointee.load(ordering: .acquiring) & Self.workers == 0 { return }
      ck_spin_hint()
    }
    gate.pointee.bitwiseOr(Self.ownerSleeps, ordering: .acquiringAndReleasing)
    patience.sleep {
      while true {
        let departed = departures.pointee.load(ordering: .acquiring)
        if gate.pointee.load(ordering: .acquiring) & Self.workers == 0 { break }
        cp_wait_while_equal(departures, departed)
      }
    }
    gate.pointee.bitwiseAnd(~Self.ownerSleeps, ordering: .relaxed)
  }

  /// The number of a job other than `seen`, or nil when the crew has stopped.
  private func waitForJob(after seen: UInt32, _ patience: inout Patience) -> UInt32? {
    var left = patience.rounds
    while true {
      let value = gate.pointee.load(ordering: .sequentiallyConsistent)
      if isStopped.load(ordering: .acquiring) { return nil }
      if let number = Self.openJob(value, after: seen) { return number }
      if left > 0 {
        left -= 1
        ck_spin_hint()
      } else {
        patience.sleep { sleep(while: value) }
      }
    }
  }

  private static func openJob(_ value: UInt32, after seen: UInt32) -> UInt32? {
    let number = value & ~(Self.number - 1)
    return value & Self.open != 0 && number != seen ? number : nil
  }
}
