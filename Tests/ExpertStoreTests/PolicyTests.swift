import ExpertStore
import TestSupport
import Testing

/// Policies against models that do the same the long way: no heap, no list, no running weight.
@Suite("Eviction policies")
struct PolicyTests {
  /// What a policy is told, drawn at random: slots pinned and given back, passes of experts.
  struct Walk: Sendable, CustomTestStringConvertible {
    let slots: Int
    let seed: UInt64
    var testDescription: String { "\(slots) slots, seed \(seed)" }
  }

  static let walks = [1, 2, 7, 40].flatMap { slots in
    (1...3).map { Walk(slots: slots, seed: UInt64($0)) }
  }

  private struct Listed {
    let slot: Int
    let sum: Double
    let stamp: Int
    var pass = 0
  }

  @Test(
    "recency and decayed frequency pick the victim that a search over all slots picks",
    arguments: walks)
  func victims(_ walk: Walk) {
    let keyCount = 60
    let layerCount = 3
    let halfLife = 8.0
    var recency: any EvictionPolicy = LeastRecentlyUsed(slotCount: walk.slots)
    var frequency: any EvictionPolicy = DecayedFrequency(
      slotCount: walk.slots, keyCount: keyCount, layerCount: layerCount, halfLife: halfLife)
    var random = RandomBytes(seed: walk.seed)
    var uses = [[Int]](repeating: [], count: keyCount)
    var pass = 0
    var stamp = walk.slots
    // Stamps of empty slots lie below those of unused experts, and these below 0.
    let empty = -1_000_000
    // Listed at first: every slot, empty, in order of number.
    var listed = (0..<walk.slots).map { Listed(slot: $0, sum: -1, stamp: empty + $0) }
    var taken: [Int] = []
    let growth = 1 + 0.6931471805599453 / (halfLife * Double(layerCount))
    func sum(_ key: Int) -> Double {
      var total = 0.0
      for use in uses[key] {
        var weight = 1.0
        for _ in use..<pass { weight /= growth }
        total += weight
      }
      return total
    }
    func remove(_ slot: Int) {
      listed.removeAll { $0.slot == slot }
      taken.append(slot)
    }
    for _ in 0..<400 {
      switch Int.random(in: 0..<6, using: &random) {
      case 0:
        pass += 1
        let layer = Int.random(in: 0..<layerCount, using: &random)
        let experts = (0..<20).map { Int32($0) }.shuffled(using: &random).prefix(4)
        for expert in experts { uses[layer * 20 + Int(expert)].append(pass) }
        recency.beginPass(Array(experts), firstKey: layer * 20)
        frequency.beginPass(Array(experts), firstKey: layer * 20)
      case 1 where !listed.isEmpty:
        let slot = listed[Int.random(in: 0..<listed.count, using: &random)].slot
        recency.remove(slot)
        frequency.remove(slot)
        recency.remove(slot)
        frequency.remove(slot)
        remove(slot)
      case 2 where !taken.isEmpty, 3 where !taken.isEmpty:
        let slot = taken.remove(at: Int.random(in: 0..<taken.count, using: &random))
        let key =
          Int.random(in: 0..<10, using: &random) == 0
          ? nil : Int.random(in: 0..<keyCount, using: &random)
        stamp += 1
        // An empty slot goes before all others; the last of several first, as in a stack.
        listed.append(
          Listed(
            slot: slot, sum: key.map(sum) ?? -1, stamp: key == nil ? empty - stamp : stamp,
            pass: pass))
        recency.insert(slot, key: key)
        frequency.insert(slot, key: key)
      case 5 where !taken.isEmpty:
        let slot = taken.remove(at: Int.random(in: 0..<taken.count, using: &random))
        let key = Int.random(in: 0..<keyCount, using: &random)
        stamp += 1
        // Read ahead and not used: after the empty ones, the last of several first.
        listed.append(Listed(slot: slot, sum: sum(key), stamp: -stamp, pass: pass))
        recency.insertUnused(slot, key: key)
        frequency.insertUnused(slot, key: key)
      case 4:
        let oldest = listed.min { $0.stamp < $1.stamp }
        #expect(recency.isEmpty == listed.isEmpty && frequency.isEmpty == listed.isEmpty)
        let victim = recency.popVictim()
        #expect(victim == oldest?.slot)
        if let victim {
          frequency.remove(victim)
          remove(victim)
        }
        guard let found = frequency.popVictim() else { continue }
        recency.remove(found)
        // What was listed has shrunk since.
        func value(_ entry: Listed) -> Double {
          entry.sum < 0
            ? -1 : (entry.pass..<pass).reduce(entry.sum) { value, _ in value / growth }
        }
        let lowest = listed.map(value).min() ?? 0
        let own = listed.first { $0.slot == found }.map(value) ?? .infinity
        // The long way rounds differently.
        #expect(own <= lowest + 1e-9 * abs(lowest))
        remove(found)
      default: continue
      }
    }
  }

  @Test("a sum outlives eviction and many thousand half-lives of its unit")
  func longRun() {
    var policy = DecayedFrequency(slotCount: 2, keyCount: 3, layerCount: 1, halfLife: 1)
    for _ in 0..<2 { _ = policy.popVictim() }
    for _ in 0..<5000 { policy.beginPass([0], firstKey: 0) }
    policy.insert(0, key: 0)
    policy.beginPass([1], firstKey: 0)
    policy.insert(1, key: 1)
    // Many uses, all a little older, outweigh the latest one.
    #expect(policy.popVictim() == 1)
    #expect(policy.popVictim() == 0)
    policy.insert(1, key: 1)
    policy.insert(0, key: nil)
    #expect(policy.popVictim() == 0)
  }

  /// Passes over three layers of 16 experts; `hot` experts a layer come back all the time.
  static func passes(seed: UInt64, count: Int, hot: Int, drift: Int) -> [(Int, [Int32])] {
    var random = RandomBytes(seed: seed)
    return (0..<count).map { pass in
      var experts = Set<Int32>()
      while experts.count < 4 {
        let isHot = Int.random(in: 0..<10, using: &random) < 6
        let first = drift > 0 ? (pass / drift) % 16 : 0
        let expert =
          isHot
          ? (first + Int.random(in: 0..<hot, using: &random)) % 16
          : Int.random(in: 0..<16, using: &random)
        experts.insert(Int32(expert))
      }
      return (pass % 3, experts.sorted())
    }
  }

  private func hits(_ policy: CachePolicy, _ passes: [(Int, [Int32])], slots: Int) -> Int {
    var directory = CacheDirectory(
      policy: policy, slotCount: slots, keyCount: 48, layerCount: 3, largestPass: 16)
    return passes.reduce(0) { $0 + directory.serve($1.1, firstKey: $1.0 * 16) }
  }

  @Test("auto ends near the better of the two, whichever that is", arguments: [0, 60, 12])
  func adaptive(_ drift: Int) {
    let passes = Self.passes(seed: 3, count: 6000, hot: 5, drift: drift)
    for slots in [12, 18, 24] {
      let (lru, crf) = (hits(.lru, passes, slots: slots), hits(.crf, passes, slots: slots))
      let auto = hits(.auto, passes, slots: slots)
      #expect(auto >= max(lru, crf) - 24000 / 100, "\(slots): lru \(lru) crf \(crf) auto \(auto)")
    }
  }

  @Test("auto says that it follows lru when recency alone decides")
  func recencyFollowed() {
    // Experts come in bursts: used in three passes of their layer, then not for a long time.
    let passes = (0..<3000).map { pass -> (Int, [Int32]) in
      let first = pass / 9 * 4 % 16
      return (pass % 3, (0..<4).map { Int32(first + $0) })
    }
    var directory = CacheDirectory(
      policy: .auto, slotCount: 14, keyCount: 48, layerCount: 3, largestPass: 16)
    for (layer, experts) in passes { _ = directory.serve(experts, firstKey: layer * 16) }
    let isBetter = hits(.lru, passes, slots: 14) > hits(.crf, passes, slots: 14)
    #expect(isBetter && directory.followed == .lru)
  }

  @Test("stable popularity is crf's, and auto says that it follows it")
  func followed() {
    let passes = Self.passes(seed: 5, count: 3000, hot: 4, drift: 0)
    var directory = CacheDirectory(
      policy: .auto, slotCount: 14, keyCount: 48, layerCount: 3, largestPass: 16)
    for (layer, experts) in passes { _ = directory.serve(experts, firstKey: layer * 16) }
    #expect(directory.followed == .crf)
    #expect(hits(.crf, passes, slots: 14) > hits(.lru, passes, slots: 14))
  }

  @Test(
    "the directory counts the hits of the store for passes of any size",
    arguments: CachePolicy.allCases)
  func directory(_ policy: CachePolicy) throws {
    let pack = try SyntheticPack()
    for slots in [1, 2, 4, 5, 9, 17, 18] {
      let store = try pack.store(slots: slots, policy: policy)
      var directory = CacheDirectory(
        policy: policy, slotCount: slots, keyCount: 18, layerCount: 3, largestPass: 6)
      var random = RandomBytes(seed: UInt64(slots))
      for step in 0..<120 {
        let all = (0..<6).map { Int32($0) }.shuffled(using: &random)
        let experts = Array(all.prefix(Int.random(in: 0...6, using: &random)))
        let before = store.statistics.hits
        try pack.check(store, layer: step % 3, experts)
        let hits = directory.serve(experts, firstKey: step % 3 * 6)
        #expect(store.statistics.hits - before == hits, "\(slots) slots, step \(step)")
        let isEqual = (0..<18).allSatisfy {
          store.isResident(layer: $0 / 6, expert: $0 % 6) == directory.holds($0)
        }
        #expect(isEqual, "\(slots) slots, step \(step)")
      }
      #expect(store.policy == policy && store.followedPolicy == directory.followed)
    }
  }
}
