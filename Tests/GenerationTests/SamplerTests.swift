import Generation
import Testing

@Suite struct SamplerTests {
  @Test(
    "greedy takes the highest logit, the lowest id among equals",
    arguments: [
      ([1, 3, 2], 1), ([3, 3, 3], 0), ([-.infinity, -5, -5], 1), ([-0.0, 0.0], 0),
    ] as [([Float], Int32)])
  func greedy(_ logits: [Float], expected: Int32) throws {
    var sampler = Sampler(.greedy)
    #expect(try sampler.sample(logits.span) == expected)
  }

  @Test("temperature 0 and top-k 1 are greedy whatever the other settings")
  func greedySettings() throws {
    let logits: [Float] = [0.5, 0.25, 0.5, 0.1]
    for settings in try [
      SamplerSettings(temperature: 0, topK: 3, seed: 5),
      SamplerSettings(temperature: 100, topK: 1, topP: 1, minP: 0, seed: 9),
      SamplerSettings(temperature: 1e-37, topK: 0, topP: 0.2, minP: 0, seed: 2),
      SamplerSettings(temperature: 100, topK: 0, topP: 1e-7, minP: 0, seed: 2),
    ] {
      var sampler = Sampler(settings)
      for _ in 0..<20 { #expect(try sampler.sample(logits.span) == 0) }
    }
  }

  @Test(
    "logits that cannot be are an error that names the token",
    arguments: [
      ([1, .nan, 2], "the logit of token 1 is nan"),
      ([.nan], "the logit of token 0 is nan"),
      ([1, 2, .infinity], "the logit of token 2 is inf"),
      ([-.infinity, -.infinity], "none of 2 tokens has a logit above -infinity"),
      ([], "none of 0 tokens"),
    ] as [([Float], String)])
  func invalidLogits(_ logits: [Float], message: String) throws {
    for settings in [try SamplerSettings(), .greedy] {
      var sampler = Sampler(settings)
      let error = #expect(throws: GenerationError.self) { try sampler.sample(logits.span) }
      #expect(error?.code == .invalidLogits)
      #expect(error?.message.contains(message) == true)
    }
  }

  @Test(
    "settings outside their range are an error that names them",
    arguments: [
      (-0.5, 40, 0.9, 0.1, "temperature is -0.5, expected a number from 0"),
      (.nan, 40, 0.9, 0.1, "temperature is nan"),
      (.infinity, 40, 0.9, 0.1, "temperature is inf"),
      (1, -1, 0.9, 0.1, "top-k is -1, expected a count from 1, or 0 for all tokens"),
      (1, 40, 0, 0.1, "top-p is 0.0, expected a probability above 0 and up to 1"),
      (1, 40, 1.5, 0.1, "top-p is 1.5"),
      (1, 40, .nan, 0.1, "top-p is nan"),
      (1, 40, 0.9, -0.1, "min-p is -0.1, expected a share from 0 to 1"),
      (1, 40, 0.9, 1.5, "min-p is 1.5"),
    ] as [(Float, Int, Float, Float, String)])
  func invalidSettings(
    temperature: Float, topK: Int, topP: Float, minP: Float, message: String
  ) throws {
    let error = #expect(throws: GenerationError.self) {
      try SamplerSettings(temperature: temperature, topK: topK, topP: topP, minP: minP)
    }
    #expect(error?.code == .invalidSetting)
    #expect(error?.message.hasPrefix(message) == true)
  }

  @Test("the same seed gives the same tokens, another seed others")
  func seeds() throws {
    let logits = randomLogits(1000, seed: 1)
    func tokens(_ seed: UInt64) throws -> [Int32] {
      var sampler = Sampler(try SamplerSettings(temperature: 2, seed: seed))
      return try (0..<50).map { _ in try sampler.sample(logits.span) }
    }
    #expect(try tokens(7) == tokens(7))
    #expect(try tokens(7) != tokens(8))
  }

  @Test("tokens of a fixed seed never change")
  func fixedTokens() throws {
    let logits = (0..<20).map { Float($0 * 7 % 20) / 4 }
    var sampler = Sampler(try SamplerSettings(temperature: 1, topP: 0.99, seed: 42))
    let tokens = try (0..<12).map { _ in try sampler.sample(logits.span) }
    #expect(tokens == [5, 11, 16, 17, 19, 17, 17, 17, 17, 14, 16, 8])
  }

  @Test(
    "exactly the tokens that the filters leave are drawn",
    arguments: [
      (0, 1, 0), (5, 1, 0), (0, 0.7, 0), (0, 1, 0.2), (40, 0.9, 0.05), (10, 0.5, 0.3),
      (0, 0.9, 0.1), (1000, 0.999, 0), (7, 1, 1), (59, 0.95, 0), (60, 0.95, 0),
      (15, 0.9, 0),
    ] as [(Int, Float, Float)])
  func filters(topK: Int, topP: Float, minP: Float) throws {
    let logits = randomLogits(60, seed: 3)
    // So hot that the tokens left are all but equally probable, and each is drawn.
    let settings = try SamplerSettings(
      temperature: 10_000, topK: topK, topP: topP, minP: minP, seed: 1)
    var sampler = Sampler(settings)
    var drawn: Set<Int32> = []
    for _ in 0..<1500 { drawn.insert(try sampler.sample(logits.span)) }
    #expect(drawn == naiveFilter(logits, settings))
  }

  @Test("frequencies follow the probabilities at the temperature")
  func frequencies() throws {
    let logits: [Float] = [0, 1, 2, 3]
    let weights = [0.5, 1, 1.5, 2].map { PortableExponential.exp($0 - 2) }
    let total = weights.reduce(0, +)
    var sampler = Sampler(
      try SamplerSettings(temperature: 2, topK: 0, topP: 1, minP: 0, seed: 3))
    var counts = [0, 0, 0, 0]
    let draws = 40_000
    for _ in 0..<draws { counts[Int(try sampler.sample(logits.span))] += 1 }
    for (count, weight) in zip(counts, weights) {
      // Five standard deviations of a frequency are at most 5 * sqrt(0.25 / 40000).
      #expect(abs(Double(count) / Double(draws) - weight / total) < 0.0125)
    }
  }

  @Test("equal logits are kept in order of id", arguments: [1, 3, 5000, 9999])
  func equalLogits(topK: Int) throws {
    let logits = [Float](repeating: 1, count: 10_000)
    var sampler = Sampler(try SamplerSettings(temperature: 1, topK: topK, topP: 1, minP: 0))
    for _ in 0..<5 { #expect(try sampler.sample(logits.span) < topK) }
  }

  @Test("a large vocabulary is filtered as by sorting it", arguments: [0, 50])
  func largeVocabulary(topK: Int) throws {
    let logits = randomLogits(20_000, seed: 5)
    let settings = try SamplerSettings(
      temperature: 10_000, topK: topK, topP: 0.02, minP: 0, seed: 1)
    let kept = naiveFilter(logits, settings)
    var sampler = Sampler(settings)
    for _ in 0..<3 { #expect(kept.contains(try sampler.sample(logits.span))) }
  }

  /// Sorts everything and applies the definitions one after the other.
  private func naiveFilter(_ logits: [Float], _ settings: SamplerSettings) -> Set<Int32> {
    var ids = logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }
    if settings.topK > 0 { ids = Array(ids.prefix(settings.topK)) }
    let best = Double(logits[ids[0]])
    let weights = ids.map { PortableExponential.exp(Double(logits[$0]) - best) }
    let goal = weights.reduce(0, +) * Double(settings.topP)
    var sum = 0.0
    var kept: Set<Int32> = []
    for (id, weight) in zip(ids, weights) {
      if weight >= Double(settings.minP) { kept.insert(Int32(id)) }
      sum += weight
      if sum >= goal { break }
    }
    return kept
  }

  /// Logits between -8 and 8.
  private func randomLogits(_ count: Int, seed: UInt64) -> [Float] {
    var random = RandomSource(seed: seed)
    return (0..<count).map { _ in Float(random.nextUnit() * 16 - 8) }
  }
}
