/// A first-in-first-out queue between threads, closed once.
package final class WorkQueue<Item: Sendable>: Sendable {
  private struct Content {
    var items: [Item] = []
    /// Items before this index have been taken.
    var head = 0
    var isClosed = false
    var isEmpty: Bool { head == items.count }
  }

  private let content = Monitor(Content())

  package init() {}

  /// Appends `item`; ignored after ``close()``.
  package func push(_ item: Item) {
    content.withLock { content in
      guard !content.isClosed else { return }
      content.items.append(item)
    }
    content.wakeOne()
  }

  /// The oldest item, waiting for one; nil once the queue is closed and empty.
  package func pop() -> Item? {
    content.wait(while: { $0.isEmpty && !$0.isClosed }) { content in
      guard !content.isEmpty else { return nil }
      let item = content.items[content.head]
      content.head += 1
      // Taken items are dropped in bulk, so that a pop costs O(1) and the storage is kept.
      if content.isEmpty {
        content.items.removeAll(keepingCapacity: true)
        content.head = 0
      } else if content.head >= 1024, content.head * 2 >= content.items.count {
        content.items.removeFirst(content.head)
        content.head = 0
      }
      return item
    }
  }

  /// Lets ``pop()`` return nil once what is queued has been taken.
  package func close() {
    content.withLock { $0.isClosed = true }
    content.wakeAll()
  }
}
