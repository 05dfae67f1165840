/// Decides, token by token, how many experts a layer may be read ahead by what that has cost and
/// brought: reading ahead is armed while it is measured to pay, and tried now and then otherwise.
///
/// Two shares decide, over the last ``window`` tokens:
///
/// - The *idle share* of the disk, of the wall time that in which no read on demand was queued or
///   running. Reads ahead take place in that time alone. Below ``minimumIdleShare`` demand keeps the
///   disk busy: what is read ahead is mostly cut off by the next layer's demand.
/// - The *useful share* of the bytes read ahead. A byte of use saves the time that the disk takes for
///   it; one of no use costs the processor about half of that time for the read and its checksum
///   (0.15 s a GB hashed and as much in the system, at disks of 3.5 GB/s), time that computing a layer
///   would have had, and it delays demand by up to two reads. So at least ``minimumUsefulShare`` has
///   to be of use.
///
/// The same measurements give the same decisions; nothing here looks at a clock.
package struct PrefetchController: Sendable {
  /// What a token cost.
  package struct Token: Sendable {
    /// Wall-clock seconds from the token's start to the next one's.
    package var seconds: Double
    /// Seconds of these in which a read on demand was queued or running.
    package var demandSeconds: Double
    /// Bytes read ahead that turned out to be of use.
    package var usefulBytes: Int
    /// Bytes read ahead that turned out to be of none.
    package var wastedBytes: Int

    /// A token of this cost.
    package init(seconds: Double, demandSeconds: Double, usefulBytes: Int = 0, wastedBytes: Int = 0)
    {
      self.seconds = seconds
      self.demandSeconds = demandSeconds
      self.usefulBytes = usefulBytes
      self.wastedBytes = wastedBytes
    }
  }

  /// What the next token may read ahead.
  package enum State: Sendable, Equatable {
    /// Nothing.
    case disarmed
    /// One expert a layer, to see what becomes of it.
    case probing
    /// As many as a token uses.
    case armed
  }

  /// Tokens that are looked back on: long enough that one slow read does not decide, short against
  /// an answer.
  package static let window = 16
  /// Tokens of a probe. With one expert a layer they read a few dozen experts, and the last of them
  /// are judged when the next token passes.
  package static let probeLength = 4
  /// Tokens between a probe that failed and the next; twice as many after each further one.
  package static let firstPause = 32
  /// Most tokens between probes: then they are 4 tokens of 1028, less than half a per cent.
  package static let longestPause = 1024
  /// Least idle share to arm with.
  package static let minimumIdleShare = 0.25
  /// Least useful share to stay armed with.
  package static let minimumUsefulShare = 0.5

  /// What the next token may do.
  package private(set) var state = State.disarmed
  private var tokens: [Token] = []  // ring of the last `window`
  private var position = 0
  /// Tokens in this state.
  private var age = 0
  private var pause = Self.firstPause
  /// Tokens to go before the next probe.
  private var untilProbe = Self.window

  /// A controller that has seen nothing and will probe once it has a window's worth of tokens.
  package init() { tokens.reserveCapacity(Self.window) }

  /// Experts a layer that the next token may read ahead, where a token uses `usedCount`.
  package func ration(usedCount: Int) -> Int {
    switch state {
    case .disarmed: 0
    case .probing: min(1, usedCount)
    case .armed: usedCount
    }
  }

  /// Share of the window's time in which demand left the disk alone; 0 before any token.
  package var idleShare: Double {
    let seconds = tokens.reduce(0) { $0 + $1.seconds }
    let busy = tokens.reduce(0) { $0 + $1.demandSeconds }
    return seconds > 0 ? max(0, 1 - busy / seconds) : 0
  }

  /// Share of the bytes judged of late that were of use; nil when none were. In a probe its own
  /// tokens count alone, so that what was wasted before does not decide.
  package var usefulShare: Double? {
    let count = state == .probing ? min(age, tokens.count) : tokens.count
    var (useful, wasted) = (0, 0)
    for back in 1..<(count + 1) {
      let token = tokens[(position - back + tokens.count) % tokens.count]
      useful += token.usefulBytes
      wasted += token.wastedBytes
    }
    return useful + wasted == 0 ? nil : Double(useful) / Double(useful + wasted)
  }

  /// Notes what a token has cost and decides about the next one.
  package mutating func tokenEnded(_ token: Token) {
    if tokens.count < Self.window {
      tokens.append(token)
      position = tokens.count
    } else {
      tokens[position % Self.window] = token
      position = position % Self.window + 1
    }
    age += 1
    switch state {
    case .disarmed:
      untilProbe -= 1
      // A busy disk is no reason to wait longer: the probe comes as soon as it idles.
      if untilProbe <= 0, idleShare >= Self.minimumIdleShare { enter(.probing) }
    case .probing:
      guard age >= Self.probeLength else { return }
      if pays {
        pause = Self.firstPause
        enter(.armed)
      } else {
        disarm()
      }
    case .armed:
      if !pays { disarm() }
    }
  }

  /// Whether both shares are large enough. Nothing judged means that nothing was read: what would
  /// have been of use is in the cache.
  private var pays: Bool {
    idleShare >= Self.minimumIdleShare && (usefulShare ?? 0) >= Self.minimumUsefulShare
  }

  private mutating func disarm() {
    untilProbe = pause
    pause = min(2 * pause, Self.longestPause)
    enter(.disarmed)
  }

  private mutating func enter(_ state: State) {
    self.state = state
    age = 0
  }
}
