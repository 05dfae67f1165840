import Dispatch
import ExpertStore
import Testing

@Suite("Work queue")
struct WorkQueueTests {
  @Test("items leave in the order they came, and a closed queue ends after the last")
  func order() {
    let queue = WorkQueue<Int>()
    for item in 0..<5000 { queue.push(item) }
    for item in 0..<2500 { #expect(queue.pop() == item) }
    for item in 5000..<6000 { queue.push(item) }
    queue.close()
    queue.push(-1)
    for item in 2500..<6000 { #expect(queue.pop() == item) }
    #expect(queue.pop() == nil)
    #expect(queue.pop() == nil)
  }

  @Test("waiting threads get every item once", arguments: [1, 2, 8])
  func threads(_ count: Int) {
    let queue = WorkQueue<Int>()
    let sums = Monitor((sum: 0, items: 0))
    DispatchQueue.concurrentPerform(iterations: count + 1) { index in
      // The first iteration always runs; the others may have to wait for a processor.
      guard index > 0 else {
        for item in 1...1000 { queue.push(item) }
        return queue.close()
      }
      while let item = queue.pop() {
        sums.withLock {
          $0.sum += item
          $0.items += 1
        }
      }
    }
    #expect(sums.withLock { $0.items } == 1000)
    #expect(sums.withLock { $0.sum } == 500_500)
  }
}
