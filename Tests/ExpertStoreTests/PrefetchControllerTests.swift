import ExpertStore
import Testing

@Suite("Prefetch controller")
struct PrefetchControllerTests {
  private typealias Token = PrefetchController.Token

  /// A token of 10 ms of which the disk works on demand for a share.
  private func token(busy: Double, useful: Int = 0, wasted: Int = 0) -> Token {
    Token(
      seconds: 0.01, demandSeconds: 0.01 * busy, usefulBytes: useful, wastedBytes: wasted)
  }

  /// Feeds tokens until the state changes; the number of tokens that took.
  private func run(
    _ controller: inout PrefetchController, limit: Int = 5000,
    _ token: (PrefetchController.State) -> Token
  ) -> Int {
    let state = controller.state
    for count in 1...limit {
      controller.tokenEnded(token(controller.state))
      if controller.state != state { return count }
    }
    return limit + 1
  }

  @Test("a busy disk is left alone for good")
  func busy() {
    var controller = PrefetchController()
    for _ in 0..<3000 {
      controller.tokenEnded(token(busy: 0.9))
      #expect(controller.state == .disarmed)
    }
    #expect(controller.ration(usedCount: 8) == 0)
    #expect(abs(controller.idleShare - 0.1) < 1e-9)
  }

  @Test("an idle disk is probed with one expert a layer, and armed when that was of use")
  func arms() {
    var controller = PrefetchController()
    #expect(run(&controller) { _ in token(busy: 0.2) } == PrefetchController.window)
    #expect(controller.state == .probing && controller.ration(usedCount: 8) == 1)
    let useful = token(busy: 0.2, useful: 3, wasted: 1)
    #expect(run(&controller) { _ in useful } == PrefetchController.probeLength)
    #expect(controller.state == .armed && controller.ration(usedCount: 8) == 8)
    #expect(controller.usefulShare == 0.75)
    for _ in 0..<200 { controller.tokenEnded(useful) }
    #expect(controller.state == .armed)
  }

  @Test("probes that bring nothing become rare, and a good one makes them frequent again")
  func pauses() {
    var controller = PrefetchController()
    _ = run(&controller) { _ in token(busy: 0) }
    var pauses: [Int] = []
    for _ in 0..<8 {
      #expect(run(&controller) { _ in token(busy: 0, useful: 1, wasted: 3) } == 4)
      #expect(controller.state == .disarmed)
      pauses.append(run(&controller) { _ in token(busy: 0) })
      #expect(controller.state == .probing)
    }
    #expect(pauses == [32, 64, 128, 256, 512, 1024, 1024, 1024])
    _ = run(&controller) { _ in token(busy: 0, useful: 1) }
    #expect(controller.state == .armed)
    _ = run(&controller) { _ in token(busy: 0, wasted: 1) }
    #expect(controller.state == .disarmed)
    #expect(run(&controller) { _ in token(busy: 0) } == 32)
  }

  @Test("a probe that reads nothing does not arm: the cache has what the predictor names")
  func nothing() {
    var controller = PrefetchController()
    _ = run(&controller) { _ in token(busy: 0) }
    _ = run(&controller) { _ in token(busy: 0) }
    #expect(controller.state == .disarmed && controller.usefulShare == nil)
  }

  @Test("too much waste, or demand that keeps the disk busy, disarms")
  func disarms() {
    for bad in [token(busy: 0.2, useful: 1, wasted: 9), token(busy: 1, useful: 9)] {
      var controller = PrefetchController()
      _ = run(&controller) { _ in token(busy: 0.2) }
      _ = run(&controller) { _ in token(busy: 0.2, useful: 2) }
      #expect(controller.state == .armed)
      let count = run(&controller) { _ in bad }
      #expect(controller.state == .disarmed)
      #expect(count <= PrefetchController.window)
    }
  }

  @Test("a probe that is due waits for the disk to idle")
  func waits() {
    var controller = PrefetchController()
    for _ in 0..<100 { controller.tokenEnded(token(busy: 0.9)) }
    #expect(controller.state == .disarmed)
    // Three tokens without demand beside thirteen: (3 + 1.3) / 16 of the time are idle.
    let count = run(&controller) { _ in token(busy: 0) }
    #expect(controller.state == .probing && count == 3)
  }
}
