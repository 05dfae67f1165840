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

@Suite struct ComputePoolTests {
  /// How often each element was visited.
  private func visits(_ pool: ComputePool, count: Int, grain: Int) -> [Int] {
    let counts = UnsafeMutableBufferPointer<Int>.allocate(capacity: count)
    defer { counts.deallocate() }
    counts.initialize(repeating: 0)
    pool.forEach(count, grain: grain) { range in
      for i in range { counts[i] += 1 }
    }
    return Array(counts)
  }

  @Test("Every element is visited exactly once", arguments: [1, 2, 16])
  func visitsAll(threads: Int) {
    let pool = ComputePool(threads: threads)
    #expect(pool.threads == threads)
    for count in [0, 1, 2, 7, 64, 1000] {
      for grain in [1, 3, 100, 5000] {
        #expect(visits(pool, count: count, grain: grain) == Array(repeating: 1, count: count))
      }
    }
  }

  #if os(Linux)
    @Test("Pinned threads stay on one processor each, no two on the same")
    func pinned() {
      let mine = Self.allowedProcessors()
      let pool = ComputePool(threads: 2, isPinned: true)
      let seen = Mutex<[pthread_t: String]>([:])
      // Until the second thread, which may sleep, has come for a share.
      for _ in 0..<10_000 where seen.withLock({ $0.count }) < 2 {
        pool.forEach(64, grain: 1) { _ in
          usleep(50)
          let processors = Self.allowedProcessors()
          seen.withLock { $0[pthread_self()] = processors }
        }
      }
      let own = seen.withLock { $0.removeValue(forKey: pthread_self()) }
      // The calling thread is left alone.
      #expect(own == mine)
      let others = seen.withLock { Array($0.values) }
      #expect(others.count == 1)
      // One core cannot keep two threads apart.
      let isAlone = others.allSatisfy { Int($0) != nil }
      #expect(isAlone || Int(mine) != nil)
    }

    /// The calling thread's processors as the kernel lists them, as in `0,2-3`.
    private static func allowedProcessors() -> String {
      guard let file = fopen("/proc/thread-self/status", "r") else { return "" }
      defer { fclose(file) }
      var line = [CChar](repeating: 0, count: 4096)
      while fgets(&line, Int32(line.count), file) != nil {
        let text = line.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        let parts = text.split(whereSeparator: \.isWhitespace)
        if parts.first == "Cpus_allowed_list:" { return parts.last.map(String.init) ?? "" }
      }
      return ""
    }
  #endif

  @Test("Thousands of small jobs follow each other, with and without sleep", arguments: [2, 16])
  func manyJobs(threads: Int) {
    let pool = ComputePool(threads: threads)
    var total = 0
    for round in 0..<3000 {
      if round % 500 == 499 { usleep(2000) }
      let sum = Atomic<Int>(0)
      pool.forEach(40, grain: 1) { range in
        sum.add(range.reduce(0, +), ordering: .relaxed)
      }
      total += sum.load(ordering: .relaxed)
    }
    #expect(total == 3000 * 780)
  }

  @Test("Chunks are at least the grain, but for the last")
  func grain() {
    let pool = ComputePool(threads: 2)
    let ranges = Mutex<[Range<Int>]>([])
    pool.forEach(103, grain: 10) { range in ranges.withLock { $0.append(range) } }
    let sorted = ranges.withLock { $0 }.sorted { $0.lowerBound < $1.lowerBound }
    #expect(sorted.first?.lowerBound == 0 && sorted.last?.upperBound == 103)
    #expect(zip(sorted, sorted.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
    #expect(sorted.dropLast().allSatisfy { $0.count >= 10 })
  }

  @Test("A call from within a call runs on its own thread", arguments: [1, 2, 16])
  func nested(threads: Int) {
    let pool = ComputePool(threads: threads)
    let sum = Atomic<Int>(0)
    pool.forEach(20, grain: 1) { outer in
      for _ in outer {
        pool.forEach(10, grain: 1) { inner in sum.add(inner.count, ordering: .relaxed) }
      }
    }
    #expect(sum.load(ordering: .relaxed) == 200)
  }

  @Test("Two threads may use one pool at once")
  func concurrentCallers() async {
    let pool = ComputePool(threads: 2)
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<2 {
        group.addTask {
          (0..<300).allSatisfy { _ in
            let sum = Atomic<Int>(0)
            pool.forEach(50, grain: 1) { sum.add($0.count, ordering: .relaxed) }
            return sum.load(ordering: .relaxed) == 50
          }
        }
      }
      for await isRight in group { #expect(isRight) }
    }
  }

  @Test("Pools can be made and dropped, used or not")
  func shortLives() {
    for threads in 1...8 {
      let pool = ComputePool(threads: threads)
      if threads % 2 == 0 {
        #expect(visits(pool, count: 9, grain: 1) == Array(repeating: 1, count: 9))
      }
    }
  }
}
