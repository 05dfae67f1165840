import ExpertStore
import FileIO
import ModelGraph
import TestSupport
import Testing

@Suite("A model that reads ahead")
struct PrefetchTests {
  /// Logits of `tokens` in calls of the lengths given, repeated, and what the store did.
  private static func run(
    _ tokens: [Int32], calls: [Int], _ adjust: (inout ModelOptions) -> Void
  ) throws -> (logits: [Float], statistics: StoreStatistics) {
    let model = try Checkpoint.model(adjust)
    let session = try Session(model: model)
    var logits: [Float] = []
    var (done, call) = (0, 0)
    while done < tokens.count {
      let count = min(calls[call % calls.count], tokens.count - done)
      logits += try session.allLogits(Array(tokens[done..<done + count]))
      done += count
      call += 1
    }
    return (logits, model.store.statistics)
  }

  @Test(
    "logits are the same whatever is read ahead, and something is",
    arguments: PrefetchChoice.allCases)
  func identical(_ choice: PrefetchChoice) throws {
    let tokens = Array(try Checkpoint.tokens().prefix(24))
    let expected = try Self.run(tokens, calls: [1]) { _ in }.logits
    for slots in [4, 5, 12, 40] {
      for policy in [CachePolicy.lru, .crf] {
        let (logits, statistics) = try Self.run(tokens, calls: [1]) { options in
          options.maximumSlots = slots
          options.cachePolicy = policy
          options.prefetch = choice
        }
        #expect(logits == expected, "\(slots) slots, \(policy)")
        let prefetch = statistics.prefetch
        #expect(prefetch.usefulBytes + prefetch.wastedBytes <= prefetch.bytes)
        switch choice {
        case .off: #expect(prefetch.bytes == 0 && prefetch.armedTokens == 0)
        case .auto: #expect(prefetch.armedTokens < 24)
        case .previousToken, .popularity, .nextLayerRouter:
          #expect(prefetch.armedTokens == 24)
          // A token uses four: with no slot more there is no place to read ahead into.
          if slots == 4 { #expect(prefetch.experts == 0) }
          if slots == 12 { #expect(prefetch.experts > 0) }
        }
      }
    }
  }

  @Test("a chunk of several tokens is not read ahead for, and single ones among them are")
  func chunks() throws {
    let tokens = Array(try Checkpoint.tokens().prefix(20))
    let expected = try Self.run(tokens, calls: [20]) { _ in }.logits
    let (logits, statistics) = try Self.run(tokens, calls: [4, 1, 1]) { options in
      options.maximumSlots = 12
      options.prefetch = .nextLayerRouter
    }
    #expect(logits == expected)
    #expect(statistics.prefetch.armedTokens == 6)
    let batched = try Self.run(tokens, calls: [20]) { options in
      options.maximumSlots = 12
      options.prefetch = .previousToken
    }
    #expect(batched.logits == expected)
    #expect(batched.statistics.prefetch == PrefetchStatistics())
  }

  @Test("faults in reads ahead and in others change no logit, and nothing hangs")
  func faults() throws {
    let tokens = Array(try Checkpoint.tokens().prefix(12))
    let expected = try Self.run(tokens, calls: [1]) { _ in }.logits
    for backend in ReadBackend.allCases.filter(\.isAvailable) {
      for split in ReadSettings.splits {
        let reading = ReadSettings(backend: backend, depth: 6, split: split)
        let isEnded = endsInTime(120) {
          #expect(throws: Never.self) {
            let (logits, statistics) = try Self.run(tokens, calls: [1]) { options in
              options.maximumSlots = 12
              options.prefetch = .nextLayerRouter
              options.reading = reading
              options.verification = .always
              options.makeReadQueue = { files, memory, piece in
                FaultyQueue(
                  try reading.makeQueue(files: files, memory: memory, piece: piece),
                  plan: .init(
                    share: 0.4, faults: FaultyQueue.Fault.allCases, seed: UInt64(split)))
              }
            }
            #expect(logits == expected, "\(reading)")
            #expect(statistics.prefetch.experts > 0, "\(reading)")
          }
        }
        try #require(isEnded, "\(reading)")
      }
    }
  }
}
