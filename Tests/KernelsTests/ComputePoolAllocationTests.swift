import AllocationCount
import Kernels
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

@Suite("A job of the pool allocates nothing", .enabled(if: ac_is_counting()))
struct ComputePoolAllocationTests {
  /// Allocations on all threads of `pool`, from share to share, over `jobs` jobs whose shares call `work`,
  /// and the shares that other threads than this one took.
  private func allocations(
    _ pool: ComputePool, jobs: Int, work: (Range<Int>) -> Void
  ) -> (count: Int, sharesOfWorkers: Int) {
    let count = Atomic<Int>(0)
    let shares = Atomic<Int>(0)
    let own = pthread_self()
    _ = ac_count_since_last_call()
    for job in 0..<jobs {
      // Now and then long enough for workers to sleep, and to be woken by the next job.
      if job % 100 == 99 { usleep(500) }
      pool.forEach(16, grain: 1) { range in
        count.add(Int(ac_count_since_last_call()), ordering: .relaxed)
        if pthread_equal(pthread_self(), own) == 0 { shares.add(1, ordering: .relaxed) }
        work(range)
      }
    }
    count.add(Int(ac_count_since_last_call()), ordering: .relaxed)
    return (count.load(ordering: .relaxed), shares.load(ordering: .relaxed))
  }

  @Test("on the calling thread and on workers, awake and asleep", arguments: [1, 2, 4])
  func nothing(threads: Int) {
    let pool = ComputePool(threads: threads)
    let sum = Atomic<Int>(0)
    // Threads set up what they need once; until the others have come for a share.
    var shares = 0
    for _ in 0..<100 where threads > 1 && shares == 0 {
      shares = allocations(pool, jobs: 200) { _ in usleep(1) }.sharesOfWorkers
    }
    let measured = allocations(pool, jobs: 1000) { range in
      sum.add(range.count, ordering: .relaxed)
      usleep(1)
    }
    #expect(measured.count == 0)
    #expect((measured.sharesOfWorkers > 0) == (threads > 1))
    #expect(sum.load(ordering: .relaxed) == 1000 * 16)
  }

  @Test("what a job's own body allocates is counted", arguments: [1, 2])
  func control(threads: Int) {
    let pool = ComputePool(threads: threads)
    let measured = allocations(pool, jobs: 100) { range in
      let memory = UnsafeMutableRawPointer.allocate(byteCount: 100 + range.count, alignment: 16)
      memory.storeBytes(of: 1, as: UInt8.self)
      free(memory)
    }
    #expect(measured.count >= 50)
  }
}
