public import ModelGraph

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Perplexity of a model on a text, in windows without overlap.
///
/// The definition is llama.cpp's `perplexity` tool's, so that figures compare: windows of `context`
/// tokens, each from an empty state; of each window the tokens after its first half are scored, so
/// that all of them have some context; a last partial window is dropped.
public struct Perplexity: Sendable {
  /// exp of the mean negative log likelihood of the scored tokens.
  public let perplexity: Double
  /// Standard error of ``perplexity``.
  public let standardError: Double
  /// Tokens scored.
  public let tokens: Int
  /// Tokens of a window.
  public let context: Int
  /// Windows evaluated.
  public let windows: Int
  /// What the evaluation cost.
  public let report: PhaseReport

  /// Measures `text`, token ids, with `session`, which is emptied before every window.
  /// - Parameters:
  ///   - session: Its context must hold a window.
  ///   - text: At least `context` ids.
  ///   - context: Tokens of a window, at least 4.
  ///   - bos: Replaces the first token of every window when the model wants one.
  ///   - progress: Called after each window with the number done, of how many, and the perplexity
  ///     so far.
  /// - Throws: ``GenerationError`` when the text fills no window, errors of the session otherwise.
  public init(
    session: Session, text: [Int32], context: Int, bos: Int32?,
    progress: (Int, Int, Double) -> Void
  ) throws {
    guard context >= 4, text.count >= context else {
      throw GenerationError(
        .invalidSetting,
        "the text has \(text.count) tokens and a window \(context), expected a window of at least "
          + "4 tokens and a text that fills one")
    }
    let windows = text.count / context
    let first = context / 2
    let clock = PhaseClock(store: session.model.store)
    var sum = 0.0
    var squares = 0.0
    var count = 0
    for window in 0..<windows {
      var ids = Array(text[window * context..<(window + 1) * context])
      if let bos { ids[0] = bos }
      session.reset()
      try session.evaluate(ids, logits: .all) { position, logits in
        guard position >= first, position + 1 < context else { return }
        let loss = Self.negativeLogLikelihood(logits.span, of: ids[position + 1])
        sum += loss
        squares += loss * loss
        count += 1
      }
      progress(window + 1, windows, exp(sum / Double(count)))
    }
    let mean = sum / Double(count)
    let variance = squares / Double(count) - mean * mean
    perplexity = exp(mean)
    standardError =
      count > 1 && variance > 0
      ? (variance / Double(count - 1)).squareRoot() * perplexity : 0
    tokens = count
    self.context = context
    self.windows = windows
    report = clock.report(tokens: windows * context)
  }

  /// -log softmax(logits)[token].
  private static func negativeLogLikelihood(_ logits: Span<Float>, of token: Int32) -> Double {
    var maximum = -Float.infinity
    for index in logits.indices { maximum = max(maximum, logits[index]) }
    var sum = 0.0
    for index in logits.indices { sum += exp(Double(logits[index] - maximum)) }
    return log(sum) + Double(maximum) - Double(logits[Int(token)])
  }
}
