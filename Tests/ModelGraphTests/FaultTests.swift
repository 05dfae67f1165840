import ExpertStore
import FileIO
import ModelGraph
import TestSupport
import Testing

@Suite("A model whose reads go wrong")
struct FaultTests {
  /// Logits of `tokens`, one call a token, as far as they came, and the error that ended them.
  private static func run(_ model: Model, _ tokens: [Int32]) -> ([Float], (any Error)?) {
    var logits: [Float] = []
    do {
      let session = try Session(model: model)
      for token in tokens { logits += try session.allLogits([token]) }
      return (logits, nil)
    } catch {
      return (logits, error)
    }
  }

  private static let readings: [ReadSettings] = ReadBackend.allCases.filter(\.isAvailable).flatMap {
    backend in
    ReadSettings.splits.map { ReadSettings(backend: backend, depth: 6, split: $0) }
  }

  /// A model that holds few experts, and the queue that its reads go through.
  private static func model(
    _ reading: ReadSettings, _ plan: FaultyQueue.Plan
  ) throws -> (Model, FaultyQueue) {
    let queue = Monitor<FaultyQueue?>(nil)
    let model = try Checkpoint.model { options in
      options.maximumSlots = 6
      options.reading = reading
      options.verification = .always
      options.makeReadQueue = { files, memory, piece in
        let made = FaultyQueue(
          try reading.makeQueue(files: files, memory: memory, piece: piece), plan: plan)
        queue.withLock { $0 = made }
        return made
      }
    }
    return (model, try #require(queue.withLock { $0 }))
  }

  @Test("two thousand faults that pass change no logit, and nothing hangs")
  func passing() throws {
    let tokens = Array(try Checkpoint.tokens().prefix(16))
    let expected = Self.run(try Checkpoint.model(), tokens).0
    var injected = 0
    for (index, reading) in Self.readings.enumerated() {
      let plan = FaultyQueue.Plan(
        share: 0.4, faults: FaultyQueue.Fault.allCases, seed: UInt64(index))
      let (model, queue) = try Self.model(reading, plan)
      let isEnded = endsInTime(120) {
        let (logits, error) = Self.run(model, tokens)
        #expect(logits == expected, "\(reading)")
        #expect(error == nil, "\(reading)")
      }
      try #require(isEnded, "\(reading)")
      injected += queue.injected
    }
    #expect(injected >= 1000 * ReadBackend.allCases.filter(\.isAvailable).count, "\(injected)")
  }

  @Test("faults that stay end the run with the slice's name, before any wrong logit")
  func lasting() throws {
    let tokens = Array(try Checkpoint.tokens().prefix(8))
    let expected = Self.run(try Checkpoint.model(), tokens).0
    var ended = 0
    for fault in [FaultyQueue.Fault.ioError, .short, .flip] {
      for (index, reading) in Self.readings.enumerated() {
        let plan = FaultyQueue.Plan(
          share: 0.004, faults: [fault], isForever: true, seed: UInt64(index))
        let (model, queue) = try Self.model(reading, plan)
        let isEnded = endsInTime(120) {
          let (logits, error) = Self.run(model, tokens)
          #expect(logits == Array(expected.prefix(logits.count)), "\(reading), \(fault)")
          let place = (error as? ExpertStoreError)?.place
          #expect((error == nil) == (logits.count == expected.count), "\(reading), \(fault)")
          #expect((place == nil) == (error == nil), "\(reading), \(fault)")
          #expect(error == nil || "\(error as Any)".contains("slice"), "\(reading), \(fault)")
        }
        try #require(isEnded, "\(reading), \(fault)")
        if queue.injected > 0 { ended += 1 }
      }
    }
    #expect(ended > 0)
  }
}
