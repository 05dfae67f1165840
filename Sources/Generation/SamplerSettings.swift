/// How the next token is chosen from the logits.
///
/// Filters apply in the order top-k, top-p, min-p, temperature, each on what the one before it
/// left; probabilities in top-p and min-p are those before temperature.
public struct SamplerSettings: Sendable, Equatable {
  /// Divides the logits; 0 takes the most probable token always.
  public let temperature: Float
  /// How many of the most probable tokens stay; 0 keeps all.
  public let topK: Int
  /// The most probable tokens stay until their probabilities sum to this; 1 keeps all.
  public let topP: Float
  /// Tokens stay whose probability is at least this share of the most probable one's; 0 keeps all.
  public let minP: Float
  /// Starts the random numbers: the same seed gives the same tokens.
  public let seed: UInt64

  /// Settings; the defaults are llama.cpp's.
  ///
  /// Throws `.invalidSetting` naming the setting unless `temperature` is at least 0 and finite,
  /// `topK` at least 0, 0 < `topP` <= 1 and 0 <= `minP` <= 1.
  public init(
    temperature: Float = 0.8, topK: Int = 40, topP: Float = 0.95, minP: Float = 0.05,
    seed: UInt64 = 0
  ) throws(GenerationError) {
    try Self.check(
      temperature >= 0 && temperature.isFinite, "temperature", temperature, "a number from 0")
    try Self.check(topK >= 0, "top-k", topK, "a count from 1, or 0 for all tokens")
    try Self.check(topP > 0 && topP <= 1, "top-p", topP, "a probability above 0 and up to 1")
    try Self.check(minP >= 0 && minP <= 1, "min-p", minP, "a share from 0 to 1")
    self.init(
      checkedTemperature: temperature, topK: topK, topP: topP, minP: minP, seed: seed)
  }

  /// The most probable token always.
  public static let greedy = SamplerSettings(
    checkedTemperature: 0, topK: 0, topP: 1, minP: 0, seed: 0)

  private init(checkedTemperature: Float, topK: Int, topP: Float, minP: Float, seed: UInt64) {
    temperature = checkedTemperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.seed = seed
  }

  private static func check(
    _ isValid: Bool, _ name: String, _ value: some Sendable, _ expected: String
  ) throws(GenerationError) {
    guard isValid else {
      throw GenerationError(.invalidSetting, "\(name) is \(value), expected \(expected)")
    }
  }
}
