internal import CKernels
internal import Synchronization
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// What the threads of a ``ComputePool`` share: one job at a time, and the places to wait.
///
/// A job is published through `gate`. Workers that come in time join it; those that sleep or are not
/// scheduled are not waited for, so a busy machine costs no more than their share. The caller takes
/// shares itself, closes the gate, and waits for the workers inside to leave.
final class ComputeCrew: @unchecked Sendable {
  // Sendable: `job` is written while no worker is inside the gate and the owner holds `isBusy`, and
  // read by workers inside. All else is atomic or under `mutex`.

  struct Job {
    let body: (Range<Int>) -> Void
    let count: Int
    /// Elements of a share at least.
    let smallest: Int
    /// A thread takes what is left divided by this.
    let divisor: Int
  }

  /// Bit 0: open. Bits 1..<16: workers inside. Above: number of the job.
  private let gate = Atomic<UInt64>(0)
  private let isBusy = Atomic<Bool>(false)
  private let isStopped = Atomic<Bool>(false)
  /// First element that no thread has taken.
  private let next = Atomic<Int>(0)
  private var job: Job?

  /// Rounds of waiting before sleep, about 50 ns each.
  private let spins: Int
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let left = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var sleepers = 0

  private static let open: UInt64 = 1
  private static let worker: UInt64 = 2
  private static let workers: UInt64 = 0xfffe
  private static let number: UInt64 = 1 << 16

  init(spins: Int) {
    self.spins = spins
    // Errors of these calls are lack of memory for attributes that are not asked for.
    mutex.initialize(to: pthread_mutex_t())
    wake.initialize(to: pthread_cond_t())
    left.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
    pthread_cond_init(left, nil)
  }

  deinit {
    pthread_cond_destroy(left)
    pthread_cond_destroy(wake)
    pthread_mutex_destroy(mutex)
    left.deallocate()
    wake.deallocate()
    mutex.deallocate()
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
    next.store(0, ordering: .relaxed)
    let last = gate.load(ordering: .relaxed) & ~(Self.number - 1)
    gate.store(last &+ Self.number | Self.open, ordering: .releasing)
    pthread_mutex_lock(mutex)
    if sleepers > 0 { pthread_cond_broadcast(wake) }
    pthread_mutex_unlock(mutex)

    takeShares(of: job)
    gate.bitwiseAnd(~Self.open, ordering: .acquiringAndReleasing)
    waitUntilEmpty()
    self.job = nil
  }

  /// A worker's life: join each job that is open, wait in between.
  func serve() {
    var seen: UInt64 = 0
    while let number = waitForJob(after: seen) {
      seen = number
      guard enter(number) else { continue }
      if let job { takeShares(of: job) }
      leave()
    }
  }

  /// Ends ``serve()`` on all threads. No job is under way.
  func stop() {
    isStopped.store(true, ordering: .releasing)
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
  }

  /// Takes shares until none is left: long ones first, whose memory is one stream, short ones in the end,
  /// which even out threads that were interrupted.
  private func takeShares(of job: Job) {
    var first = next.load(ordering: .relaxed)
    while first < job.count {
      let left = job.count - first
      let end = first + min(left, max(job.smallest, left / job.divisor))
      let (done, current) = next.weakCompareExchange(
        expected: first, desired: end, ordering: .relaxed)
      if done {
        job.body(first..<end)
        first = next.load(ordering: .relaxed)
      } else {
        first = current
      }
    }
  }

  /// Joins job `number` if it is still open.
  private func enter(_ number: UInt64) -> Bool {
    var value = gate.load(ordering: .relaxed)
    while value & Self.open != 0, value & ~(Self.number - 1) == number {
      let (done, current) = gate.weakCompareExchange(
        expected: value, desired: value + Self.worker, ordering: .acquiringAndReleasing)
      if done { return true }
      value = current
    }
    return false
  }

  private func leave() {
    let value = gate.subtract(Self.worker, ordering: .acquiringAndReleasing).newValue
    guard value & (Self.open | Self.workers) == 0 else { return }
    pthread_mutex_lock(mutex)
    pthread_cond_signal(left)
    pthread_mutex_unlock(mutex)
  }

  private func waitUntilEmpty() {
    for _ in 0..<spins {
      if gate.load(ordering: .acquiring) & Self.workers == 0 { return }
      ck_spin_hint()
    }
    pthread_mutex_lock(mutex)
    while gate.load(ordering: .acquiring) & Self.workers != 0 { pthread_cond_wait(left, mutex) }
    pthread_mutex_unlock(mutex)
  }

  /// The number of a job other than `seen`, or nil when the crew has stopped.
  private func waitForJob(after seen: UInt64) -> UInt64? {
    for _ in 0..<spins {
      if isStopped.load(ordering: .acquiring) { return nil }
      if let number = openJob(after: seen) { return number }
      ck_spin_hint()
    }
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    sleepers += 1
    defer { sleepers -= 1 }
    while true {
      if isStopped.load(ordering: .acquiring) { return nil }
      if let number = openJob(after: seen) { return number }
      pthread_cond_wait(wake, mutex)
    }
  }

  private func openJob(after seen: UInt64) -> UInt64? {
    let value = gate.load(ordering: .acquiring)
    let number = value & ~(Self.number - 1)
    return value & Self.open != 0 && number != seen ? number : nil
  }
}
