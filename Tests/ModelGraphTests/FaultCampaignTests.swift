import ExpertPack
import ExpertStore
import FileIO
import ModelGraph
import TestSupport
import Testing

/// Three thousand faults in a whole model, every logit compared; the store's campaign is in
/// ExpertStoreTests.
@Suite("A model under thousands of faults", .serialized)
struct FaultCampaignTests {
  /// A prompt in chunks, then single tokens.
  private static func calls(_ tokens: [Int32]) -> [ArraySlice<Int32>] {
    [tokens[..<7], tokens[7..<12]] + (12..<tokens.count).map { tokens[$0...$0] }
  }

  private static let readings: [ReadSettings] = ReadBackend.allCases.filter(\.isAvailable).flatMap {
    backend in
    ReadSettings.splits.map { ReadSettings(backend: backend, depth: 5, split: $0) }
  }

  private static func model(
    _ reading: ReadSettings, _ plan: FaultyQueue.Plan
  ) throws -> (Model, FaultyQueue) {
    let queue = Monitor<FaultyQueue?>(nil)
    let model = try Checkpoint.model { options in
      options.maximumSlots = 6
      options.batch = 8
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

  @Test("two thousand faults that pass, and evaluations that are cancelled, change no logit")
  func passing() throws {
    let tokens = Array(try Checkpoint.tokens().prefix(24))
    let clean = try Session(model: try Checkpoint.model())
    let expected = try Self.calls(tokens).map { try clean.allLogits(Array($0)) }
    var injected = 0
    for (number, reading) in Self.readings.enumerated() {
      let plan = FaultyQueue.Plan(
        share: 0.4, faults: FaultyQueue.Fault.allCases, seed: UInt64(number))
      let (model, queue) = try Self.model(reading, plan)
      let isEnded = endsInTime(120) {
        var random = RandomBytes(seed: UInt64(number))
        do {
          let session = try Session(model: model)
          while queue.injected < 2000 / Self.readings.count {
            var layers = Int.random(in: 1..<60, using: &random)
            session.isCancelled = {
              layers -= 1
              return layers < 0
            }
            let error = #expect(throws: ModelGraphError.self) {
              for call in Self.calls(tokens) { _ = try session.allLogits(Array(call)) }
            }
            #expect(error?.code == .cancelled)
            session.reset()
            session.isCancelled = nil
            for (index, call) in Self.calls(tokens).enumerated() {
              let logits = try session.allLogits(Array(call))
              #expect(logits == expected[index], "\(reading), call \(index)")
            }
            session.reset()
          }
        } catch {
          Issue.record("\(reading): \(error)")
        }
      }
      try #require(isEnded, "\(reading): hangs")
      injected += queue.injected
    }
    #expect(injected >= 2000, "\(injected)")
  }

  @Test("a thousand faults that stay end each run with the slice's name, before any wrong logit")
  func lasting() throws {
    let tokens = Array(try Checkpoint.tokens().prefix(24))
    let clean = try Session(model: try Checkpoint.model())
    let expected = try Self.calls(tokens).map { try clean.allLogits(Array($0)) }
    let pack = try Checkpoint.pack()
    var (injected, errors, seed) = (0, 0, UInt64(0))
    while injected < 1000 {
      let reading = Self.readings[Int(seed) % Self.readings.count]
      let plan = FaultyQueue.Plan(
        share: 0.003, faults: FaultyQueue.Fault.allCases, isForever: true, seed: seed)
      let (model, queue) = try Self.model(reading, plan)
      let found = Monitor(0)
      let isEnded = endsInTime(120) { [seed] in
        do {
          let session = try Session(model: model)
          for round in 0..<4 {
            var calls = 0
            do {
              for call in Self.calls(tokens) {
                #expect(try session.allLogits(Array(call)) == expected[calls], "seed \(seed)")
                calls += 1
              }
            } catch let error as ExpertStoreError {
              found.withLock { $0 += 1 }
              let place = try #require(error.place, "seed \(seed), round \(round)")
              #expect(
                error.message.contains(
                  "layer \(place.layer), expert \(place.expert), slice \(place.slice): "))
              let read = pack.placement(layer: place.layer, expert: place.expert)
                .reads[place.slice]
              let bytes = read.offset..<read.offset + UInt64(read.length)
              #expect(queue.isBroken(place.file, bytes), "\(error) where nothing is wrong")
            }
            session.reset()
          }
        } catch {
          Issue.record("seed \(seed): \(error)")
        }
      }
      try #require(isEnded, "seed \(seed): hangs")
      injected += queue.injected
      errors += found.withLock { $0 }
      seed += 1
    }
    #expect(errors > 20, "\(errors)")
  }
}
