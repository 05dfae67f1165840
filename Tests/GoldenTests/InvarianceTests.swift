import ExpertPack
import ExpertStore
import FileIO
import Foundation
import Kernels
import ModelGraph
import TestSupport
import Testing

@Suite("Same tokens always")
struct InvarianceTests {
  @Test("logits do not depend on cache size and policy, reader threads, compute threads or batch")
  func resources() throws {
    for checkpoint in GoldenCheckpoint.all {
      let packed = try PackedCheckpoint(checkpoint)
      let tokens = try checkpoint.referenceTokens
      let expected = try PackedCheckpoint.logits(try packed.model(), tokens)
      let everything = packed.pack.expertLayers.reduce(0) { $0 + $1.expertCount }
      let minimum = try packed.model().config.experts.usedCount
      var changes: [(String, (inout ModelOptions) -> Void)] = []
      for slots in [minimum, minimum + 1, everything / 3, everything] {
        for readers in [1, 2, 16] {
          changes.append(
            (
              "\(slots) slots, \(readers) readers",
              {
                $0.maximumSlots = slots
                $0.reading.depth = readers
              }
            ))
        }
      }
      for policy in CachePolicy.allCases {
        changes.append(
          (
            "policy \(policy)",
            {
              $0.maximumSlots = everything / 4
              $0.cachePolicy = policy
              $0.batch = 4
            }
          ))
      }
      for choice in PrefetchChoice.allCases {
        changes.append(
          (
            "prefetch \(choice)",
            {
              $0.maximumSlots = everything / 4
              $0.prefetch = choice
              $0.batch = 1
            }
          ))
      }
      for threads in [1, 2, 3, 4, 8] {
        changes.append(("\(threads) compute threads", { $0.threads = threads }))
      }
      for batch in [1, 7, 8, 9, 40] { changes.append(("batch \(batch)", { $0.batch = batch })) }
      for (name, change) in changes {
        let model = try packed.model(adjust: change)
        let logits = try PackedCheckpoint.logits(model, tokens)
        #expect(logits == expected, "\(checkpoint.testDescription): \(name)")
      }
    }
  }

  @Test(
    "token by token, in odd calls and at once give the same logits",
    arguments: InstructionSet.allCases.filter(\.isAvailable))
  func steps(_ set: InstructionSet) throws {
    for checkpoint in GoldenCheckpoint.all {
      let packed = try PackedCheckpoint(checkpoint)
      let model = try packed.model(set)
      let tokens = try checkpoint.referenceTokens
      let expected = try PackedCheckpoint.logits(model, tokens)
      #expect(try PackedCheckpoint.logits(model, tokens, calls: [1]) == expected)
      #expect(try PackedCheckpoint.logits(model, tokens, calls: [3, 1, 11, 5]) == expected)
    }
  }

  @Test("an in-place pack gives the same logits as a packed one")
  func inPlace() throws {
    for checkpoint in GoldenCheckpoint.all {
      let packed = try PackedCheckpoint(checkpoint)
      let indexed = try PackedCheckpoint(checkpoint, kind: .inPlace)
      let tokens = try checkpoint.referenceTokens
      #expect(
        try PackedCheckpoint.logits(try packed.model(), tokens)
          == PackedCheckpoint.logits(try indexed.model(), tokens), "\(checkpoint.testDescription)")
    }
  }

  @Test("a session that is emptied starts anew")
  func reset() throws {
    let checkpoint = try #require(GoldenCheckpoint.all.first)
    let model = try PackedCheckpoint(checkpoint).model()
    let tokens = try checkpoint.referenceTokens
    let session = try Session(model: model)
    let first = try session.evaluate(tokens)
    session.reset()
    #expect(try session.evaluate(tokens) == first)
  }
}
