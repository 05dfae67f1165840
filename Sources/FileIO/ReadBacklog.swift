/// Reads that have not begun, by priority and then by age. Its owner serialises access.
struct ReadBacklog {
  private var demand = Line()
  private var speculative = Line()
  private var background = Line()

  /// Whether nothing is queued.
  var isEmpty: Bool { demand.isEmpty && speculative.isEmpty && background.isEmpty }

  /// Queues `request` behind those of its priority.
  mutating func append(_ request: ReadRequest) {
    switch request.priority {
    case .demand: demand.append(request)
    case .speculative: speculative.append(request)
    case .background: background.append(request)
    }
  }

  /// Takes the read that is to begin next.
  mutating func popFirst() -> ReadRequest? {
    demand.popFirst() ?? speculative.popFirst() ?? background.popFirst()
  }

  /// Takes all reads that match.
  mutating func remove(where matches: (ReadRequest) -> Bool) -> [ReadRequest] {
    demand.remove(where: matches) + speculative.remove(where: matches)
      + background.remove(where: matches)
  }

  /// First in, first out; O(1) each, and no allocation once it has grown.
  private struct Line {
    private var requests: [ReadRequest?] = []
    /// Requests before this one are taken, and nil: they keep nothing alive.
    private var head = 0

    var isEmpty: Bool { head == requests.count }

    mutating func append(_ request: ReadRequest) { requests.append(request) }

    mutating func popFirst() -> ReadRequest? {
      guard head < requests.count else { return nil }
      let request = requests[head]
      requests[head] = nil
      head += 1
      // Dropped in bulk, so that the storage is kept.
      if isEmpty {
        requests.removeAll(keepingCapacity: true)
        head = 0
      } else if head >= 1024, head * 2 >= requests.count {
        requests.removeFirst(head)
        head = 0
      }
      return request
    }

    mutating func remove(where matches: (ReadRequest) -> Bool) -> [ReadRequest] {
      // Most often nothing matches, and nothing is allocated.
      guard requests[head...].contains(where: { $0.map(matches) ?? false }) else { return [] }
      let queued = requests[head...].compactMap { $0 }
      let removed = queued.filter(matches)
      requests = queued.filter { !matches($0) }
      head = 0
      return removed
    }
  }
}
