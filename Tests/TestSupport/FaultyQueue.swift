public import FileIO
internal import Dispatch
internal import SystemPackage

/// A read queue that goes wrong as told: it stands between a user and a real queue.
public final class FaultyQueue: ReadQueue, ReadCompletion {
  /// What may happen to a read.
  public enum Fault: Sendable, CaseIterable {
    /// The system reports EIO, and part of the target is overwritten.
    case ioError
    /// Half of the bytes arrive, the rest is garbage.
    case short
    /// One bit of the middle byte is inverted.
    case flip
    /// Everything arrives, but late.
    case delay
    /// Everything arrives, but after some reads that were begun later.
    case reorder

    /// Whether the read has to be done again.
    var isHarmful: Bool { self != .delay && self != .reorder }
  }

  /// What is to go wrong.
  public struct Plan: Sendable {
    /// Share of reads that are hit.
    public var share: Double
    /// Each as often as the others.
    public var faults: [Fault]
    /// Whether what was hit once is hit in every read; otherwise the next read of it is good.
    public var isForever: Bool
    /// Makes the choice reproducible: it depends on this, on the place in the file and on how often
    /// that place was read, not on the order in which reads come.
    public var seed: UInt64

    /// A plan that hits `share` of the reads with one of `faults`.
    public init(share: Double, faults: [Fault], isForever: Bool = false, seed: UInt64 = 1) {
      self.share = share
      self.faults = faults
      self.isForever = isForever
      self.seed = seed
    }
  }

  private struct Page {
    let path: String
    let number: UInt64
  }

  private struct Start: Hashable {
    let name: Substring
    let offset: UInt64
  }

  /// An outcome that waits for others to overtake it.
  private struct Held {
    let tag: UInt64
    let request: ReadRequest
    let outcome: ReadOutcome
    /// Outcomes that are to be delivered before it.
    var ahead: Int
  }

  private struct State {
    var live: [UInt64: (request: ReadRequest, fault: Fault?)] = [:]
    var held: [Held] = []
    var nextTag: UInt64 = 0
    var plan: Plan
    /// How often a read began at each place.
    var visits: [Start: UInt64] = [:]
    /// Addresses that were hit once, and are to be filled well the next time. Not places in the
    /// file: neighbouring experts share pages there.
    var owed: [Range<UInt>] = []
    /// Pages that are hit in every read.
    var broken: [(page: Page, fault: Fault)] = []
    var injected = 0
    var cancelled = 0
  }

  private let inner: any ReadQueue
  private let state: Monitor<State>

  /// Puts faults between `inner`, which it closes with itself, and its user.
  public init(_ inner: any ReadQueue, plan: Plan) {
    self.inner = inner
    state = Monitor(State(plan: plan))
  }

  /// Faults so far.
  public var injected: Int { state.withLock { $0.injected } }
  /// Reads so far that their user gave up before they began.
  public var cancelled: Int { state.withLock { $0.cancelled } }

  /// Whether a read of `bytes` of the file at `path` meets a page that is hit in every read.
  public func isBroken(_ path: String, _ bytes: Range<UInt64>) -> Bool {
    let pages = bytes.lowerBound / 4096...(max(bytes.upperBound, 1) - 1) / 4096
    return state.withLock { state in
      state.broken.contains { $0.page.path == path && pages.contains($0.page.number) }
    }
  }

  /// Lets every later read succeed.
  public func heal() {
    state.withLock {
      $0.plan.share = 0
      $0.broken = []
    }
  }

  /// Backend of the queue that does the reading.
  public var backend: ReadBackend { inner.backend }
  /// Its reads in flight.
  public var depth: Int { inner.depth }

  /// Passes a read on, and decides whether its outcome will be harmed.
  public func submit(_ request: ReadRequest) {
    let tag = state.withLock { state in
      let tag = state.nextTag
      state.nextTag += 1
      state.live[tag] = (request, Self.fault(for: request, &state))
      return tag
    }
    inner.submit(
      ReadRequest(
        file: request.file, offset: request.offset, target: request.target,
        priority: request.priority, tag: tag, completion: self))
  }

  /// Cancels what matches of the reads not begun.
  public func cancel(where matches: (ReadRequest) -> Bool) {
    inner.cancel { hidden in
      guard let request = state.withLock({ $0.live[hidden.tag]?.request }) else { return false }
      return matches(request)
    }
  }

  /// Ends the queue below and waits for every outcome.
  public func close() {
    inner.close()
    state.wait(while: { !$0.live.isEmpty }, then: { _ in })
  }

  /// Takes an outcome from the queue below, harms it if chosen and hands it on.
  public func readEnded(_ hidden: ReadRequest, _ outcome: ReadOutcome) {
    guard let (request, fault) = state.withLock({ $0.live[hidden.tag] }) else { return }
    guard let fault, case .read(let count) = outcome, count > 0 else {
      if case .cancelled = outcome { state.withLock { $0.cancelled += 1 } }
      return deliver(hidden.tag, request, outcome)
    }
    state.withLock { $0.injected += 1 }
    switch fault {
    case .ioError:
      UnsafeMutableRawBufferPointer(rebasing: request.target[..<(count / 2)])
        .initializeMemory(as: UInt8.self, repeating: 0x5A)
      let error = FileIOError(
        .ioError, path: request.file.path, operation: "read \(count) bytes at \(request.offset)")
      deliver(hidden.tag, request, .failed(error))
    case .short:
      UnsafeMutableRawBufferPointer(rebasing: request.target[(count / 2)...])
        .initializeMemory(as: UInt8.self, repeating: 0xA5)
      deliver(hidden.tag, request, .read(count / 2))
    case .flip:
      request.target[count / 2] ^= 1 << UInt8(hidden.tag % 8)
      deliver(hidden.tag, request, outcome)
    case .delay:
      DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(Int(hidden.tag % 3))) {
        self.deliver(hidden.tag, request, outcome)
      }
    case .reorder:
      let held = Held(
        tag: hidden.tag, request: request, outcome: outcome, ahead: 1 + Int(hidden.tag % 3))
      state.withLock { $0.held.append(held) }
      releaseHeld()
    }
  }

  private func deliver(_ tag: UInt64, _ request: ReadRequest, _ outcome: ReadOutcome) {
    complete(tag, request, outcome)
    releaseHeld()
  }

  private func complete(_ tag: UInt64, _ request: ReadRequest, _ outcome: ReadOutcome) {
    request.completion.readEnded(request, outcome)
    state.withLock { state in
      state.live[tag] = nil
      for index in state.held.indices { state.held[index].ahead -= 1 }
    }
    state.wakeAll()
  }

  /// Delivers what was overtaken often enough, or by everything there is.
  private func releaseHeld() {
    while true {
      let next: Held? = state.withLock { state in
        let isAll = state.held.count == state.live.count
        guard let index = state.held.firstIndex(where: { isAll || $0.ahead <= 0 }) else {
          return nil
        }
        return state.held.remove(at: index)
      }
      guard let next else { return }
      complete(next.tag, next.request, next.outcome)
    }
  }

  private static func fault(for request: ReadRequest, _ state: inout State) -> Fault? {
    let pages = request.offset / 4096...(request.offset + UInt64(request.target.count) - 1) / 4096
    let path = request.file.path
    let hit = state.broken.first { $0.page.path == path && pages.contains($0.page.number) }
    if let hit { return hit.fault }
    let start = UInt(bitPattern: request.target.baseAddress)
    let target = start..<start + UInt(request.target.count)
    if state.owed.contains(where: { $0.overlaps(target) }) {
      state.owed = state.owed.flatMap { owed in
        [
          owed.lowerBound..<max(owed.lowerBound, min(owed.upperBound, target.lowerBound)),
          min(owed.upperBound, max(owed.lowerBound, target.upperBound))..<owed.upperBound,
        ].filter { !$0.isEmpty }
      }
      return nil
    }
    var random = random(for: request, &state)
    guard Double(random.next() >> 11) / Double(1 << 53) < state.plan.share,
      let fault = state.plan.faults.randomElement(using: &random)
    else { return nil }
    if fault.isHarmful {
      if state.plan.isForever {
        let middle = pages.lowerBound + UInt64(pages.count / 2)
        state.broken.append((Page(path: path, number: middle), fault))
      } else {
        state.owed.append(target)
      }
    }
    return fault
  }

  /// Random numbers of their own for every visit of a place.
  private static func random(for request: ReadRequest, _ state: inout State) -> RandomBytes {
    // The directory differs from run to run.
    let path = request.file.path
    let name = path[(path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex)...]
    let visit = state.visits[Start(name: name, offset: request.offset), default: 0]
    state.visits[Start(name: name, offset: request.offset)] = visit + 1
    var seed = state.plan.seed
    for word in name.utf8.map(UInt64.init) + [request.offset, visit] {
      var step = RandomBytes(seed: seed ^ word)
      seed = step.next()
    }
    return RandomBytes(seed: seed)
  }
}
