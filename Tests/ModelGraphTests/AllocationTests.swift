import AllocationCount
import Kernels
import ModelGraph
import Testing

@Suite("A decoded token allocates nothing", .enabled(if: ac_is_counting()))
struct AllocationTests {
  /// Allocations of the calling thread while `steps` are evaluated, one after the other.
  private func allocations(_ session: Session, _ steps: [[Int32]]) throws -> Int {
    var top: Float = 0
    let start = ac_thread_count()
    for step in steps {
      try session.evaluate(step) { _, logits in top = max(top, logits[0]) }
    }
    return Int(ac_thread_count() - start)
  }

  /// With one thread everything but reads runs on the calling one.
  @Test(
    "with its experts in memory", arguments: InstructionSet.allCases.filter(\.isAvailable), [1, 2])
  func decode(set: InstructionSet, threads: Int) throws {
    let model = try Checkpoint.model {
      $0.threads = threads
      $0.instructionSet = set
      $0.contextLength = 64
    }
    let session = try Session(model: model)
    let steps = try Checkpoint.tokens().prefix(20).map { [$0] }
    // The experts that these tokens use are read, and memory that grows once has grown.
    _ = try allocations(session, steps)
    session.reset()
    #expect(try allocations(session, steps) == 0)
  }

  @Test("what an observer costs is counted")
  func control() throws {
    let session = try Session(model: try Checkpoint.model { $0.threads = 1 })
    session.observer = { _, _, _, _ in }
    #expect(try allocations(session, [[1], [2]]) > 0)
  }
}
