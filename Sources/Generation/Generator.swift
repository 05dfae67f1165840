public import ModelGraph
public import Tokenizers

/// Writes text: evaluates a prompt, then samples token after token.
public struct Generator {
  /// When to stop, and how to choose.
  public struct Settings: Sendable {
    /// Most tokens to generate.
    public var maximumTokens: Int
    /// How to choose among the tokens.
    public var sampler: SamplerSettings
    /// Whether to go on after an end-of-generation token, as measurements want.
    public var ignoresEnd: Bool

    /// Settings that stop at the end of the text unless told otherwise.
    public init(maximumTokens: Int, sampler: SamplerSettings, ignoresEnd: Bool = false) {
      self.maximumTokens = maximumTokens
      self.sampler = sampler
      self.ignoresEnd = ignoresEnd
    }
  }

  /// Why generation ended.
  public enum StopReason: String, Sendable, Encodable {
    /// The model ended its text.
    case endOfText = "end_of_text"
    /// The number of tokens asked for.
    case length
    /// The context is full.
    case contextFull = "context_full"
    /// The session was told to stop: what is there is whole, as far as it goes.
    case cancelled
  }

  /// One evaluation: the prompt, or one generated token.
  public struct Step: Sendable {
    /// Position in the sequence after it.
    public let position: Int
    /// What it cost.
    public let report: PhaseReport
  }

  /// What came out.
  public struct Result: Sendable {
    /// The generated text, complete characters only.
    public let text: String
    /// Generated ids, without a final end-of-generation token.
    public let tokens: [Int32]
    /// Why it ended.
    public let stopReason: StopReason
    /// The prompt's evaluation.
    public let prefill: PhaseReport
    /// Everything after it.
    public let decode: PhaseReport

    /// Whether it ended because the session was told to stop.
    public var isCancelled: Bool { stopReason == .cancelled }
  }

  private let session: Session
  private let tokenizer: Tokenizer

  /// A generator that continues `session` where it stands.
  public init(session: Session, tokenizer: Tokenizer) {
    self.session = session
    self.tokenizer = tokenizer
  }

  /// Generates after `prompt`.
  ///
  /// A session that is cancelled meanwhile is no error: the result holds what there is by then.
  /// - Parameters:
  ///   - prompt: Token ids, at least one.
  ///   - settings: When to stop, and how to choose.
  ///   - onStep: Called after every evaluation with its cost.
  ///   - onText: Called with each piece of complete text as soon as it is known.
  /// - Returns: The text and what it cost.
  /// - Throws: Errors of the session (a damaged expert, a full context), of `onStep` and `onText`.
  public func run(
    prompt: [Int32], settings: Settings, onStep: (Step) throws -> Void = { _ in },
    onText: (String) throws -> Void
  ) throws -> Result {
    guard !prompt.isEmpty else {
      throw GenerationError(.invalidSetting, "the prompt has no tokens, expected at least one")
    }
    let store = session.model.store
    var sampler = Sampler(settings.sampler)
    var decoder = IncrementalDecoder(vocabulary: tokenizer.vocabulary)
    let ends = tokenizer.vocabulary.endOfGenerationIDs
    var text = ""
    var tokens: [Int32] = []
    func emit(_ piece: String) throws {
      guard !piece.isEmpty else { return }
      text += piece
      try onText(piece)
    }

    let prefillClock = PhaseClock(store: store)
    var next: Int32 = -1
    let receive = { (_: Int, logits: UnsafeBufferPointer<Float>) in
      next = try sampler.sample(logits.span)
    }
    let start = session.position
    let isPrompted = try evaluate(
      prompt, logits: settings.maximumTokens > 0 ? .last : .none, receive: receive)
    let prefill = prefillClock.report(tokens: session.position - start)
    guard isPrompted else {
      return Result(
        text: "", tokens: [], stopReason: .cancelled, prefill: prefill,
        decode: PhaseClock(store: store).report(tokens: 0))
    }
    try onStep(Step(position: session.position, report: prefill))

    let decodeClock = PhaseClock(store: store)
    var clock = decodeClock
    var reason = StopReason.length
    var evaluated = 0
    var maximumReads = 0
    // The list of one token, whose memory serves all.
    var step: [Int32] = [next]
    while tokens.count < settings.maximumTokens {
      if !settings.ignoresEnd, ends.contains(next) {
        reason = .endOfText
        break
      }
      tokens.append(next)
      try emit(decoder.append(next))
      if tokens.count == settings.maximumTokens { break }
      guard session.position < session.contextLength else {
        reason = .contextFull
        break
      }
      clock.restart()
      step[0] = next
      guard try evaluate(step, logits: .last, receive: receive) else {
        reason = .cancelled
        break
      }
      evaluated += 1
      let report = clock.part(tokens: 1)
      maximumReads = max(maximumReads, report.maximumReadsInFlight)
      try onStep(Step(position: session.position, report: report))
    }
    try emit(decoder.finish())
    return Result(
      text: text, tokens: tokens, stopReason: reason, prefill: prefill,
      decode: decodeClock.report(
        tokens: evaluated, parts: clock, maximumReadsInFlight: maximumReads))
  }

  /// Evaluates `tokens`; false when the session was told to stop before all were through.
  private func evaluate(
    _ tokens: [Int32], logits: Session.LogitsRequest,
    receive: (_ index: Int, _ logits: UnsafeBufferPointer<Float>) throws -> Void
  ) throws -> Bool {
    do {
      try session.evaluate(tokens, logits: logits, receive: receive)
      return true
    } catch {
      guard (error as? ModelGraphError)?.code == .cancelled else { throw error }
      return false
    }
  }
}
