import ExpertStore
import FileIO
import TestSupport
import Testing

@Suite("Prefetcher")
struct PrefetcherTests {
  /// A sequence on a store with a clock of the test's making.
  private final class Sequence {
    let pack: SyntheticPack
    let store: ExpertStore
    let queue: HeldQueue
    let prefetcher: Prefetcher
    private let time = Monitor(0.0)
    private var step: Int32 = 0

    init(_ choice: PrefetchChoice) throws {
      pack = try SyntheticPack()
      let time = time
      (store, queue) = try pack.store(
        slots: 5, holding: [], minimum: 1, now: { time.withLock { $0 } })
      prefetcher = try #require(Prefetcher(store: store, choice: choice, usedCount: 1))
    }

    /// One token that uses an expert of layers 0 and 1 that no cache of five has, with a guess for
    /// layer 1 that is right or not. The disk is never seen busy, for reads take no time.
    func token(isRight: Bool) throws {
      let (first, second) = (step % 6, (step + 3) % 6)
      step += 1
      prefetcher.beginChunk(tokens: 1)
      try store.withExperts(layer: 0, experts: [first]) { _, expert in
        prefetcher.learn([first], layer: 0)
        if prefetcher.needsScores {
          var scores = [Float](repeating: 0, count: 6)
          scores[Int(isRight ? second : (second + 1) % 6)] = 1
          scores.withUnsafeBufferPointer { prefetcher.prefetch(layer: 1, scores: $0) }
        } else {
          prefetcher.prefetch(layer: 1)
        }
        for slice in 0..<expert.sliceCount { _ = try expert.slice(slice) }
      }
      queue.waitUntilIdle()
      try pack.check(store, layer: 1, [second])
      prefetcher.learn([second], layer: 1)
      prefetcher.endChunk()
      queue.waitUntilIdle()
      time.withLock { $0 += 0.01 }
    }
  }

  @Test("auto arms once a probe was of use, and disarms when its guesses turn bad")
  func controlled() throws {
    let sequence = try Sequence(.auto)
    func armed() -> Int { sequence.store.statistics.prefetch.armedTokens }
    for _ in 0...PrefetchController.window { try sequence.token(isRight: true) }
    // The first token is judged when the second begins.
    #expect(armed() == 1)
    for _ in 0..<40 { try sequence.token(isRight: true) }
    #expect(armed() == 41)
    let useful = sequence.store.statistics.prefetch
    #expect(useful.usefulExperts > 20 && useful.wastedBytes == 0)
    for _ in 0..<40 { try sequence.token(isRight: false) }
    let count = armed()
    #expect(count < 41 + 20)
    // One probe later it knows again that it does not pay.
    for _ in 0..<30 { try sequence.token(isRight: false) }
    #expect(armed() == count + PrefetchController.probeLength)
    #expect(sequence.store.statistics.prefetch.wastedBytes > 0)
  }

  @Test("a predictor that was asked for stays armed however bad it is")
  func forced() throws {
    let sequence = try Sequence(.nextLayerRouter)
    for _ in 0..<60 { try sequence.token(isRight: false) }
    let prefetch = sequence.store.statistics.prefetch
    #expect(prefetch.armedTokens == 60 && prefetch.usefulBytes < prefetch.wastedBytes)
  }

  @Test("nothing is read ahead for a chunk, or when it is off")
  func chunk() throws {
    let sequence = try Sequence(.previousToken)
    sequence.prefetcher.beginChunk(tokens: 2)
    #expect(!sequence.prefetcher.isArmed)
    sequence.prefetcher.learn([3], layer: 1)
    sequence.prefetcher.prefetch(layer: 1)
    sequence.prefetcher.endChunk()
    #expect(sequence.store.statistics.prefetch == PrefetchStatistics())
    sequence.prefetcher.beginChunk(tokens: 1)
    sequence.prefetcher.prefetch(layer: 1)
    sequence.queue.waitUntilIdle()
    #expect(sequence.store.isResident(layer: 1, expert: 3))
    #expect(Prefetcher(store: sequence.store, choice: .off, usedCount: 1) == nil)
  }
}
