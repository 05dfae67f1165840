internal import CPCRE2

/// A compiled pre-tokenizer pattern.
@safe final class SplitPattern: @unchecked Sendable {
  // Sendable: PCRE2 documents compiled code as read-only while matching, for any number of threads.
  private let code: OpaquePointer

  /// Compiles `pattern`, to machine code where PCRE2 can. Throws `.patternFailure` when PCRE2
  /// refuses it.
  init(_ pattern: String) throws(TokenizerError) {
    var error: Int32 = 0
    var offset = 0
    let source = Array(pattern.utf8)
    let compiled = unsafe source.withUnsafeBufferPointer { bytes in
      unsafe pcre2_compile_8(
        bytes.baseAddress, bytes.count, UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP), &error, &offset, nil)
    }
    guard let compiled = unsafe compiled else {
      throw TokenizerError(
        .patternFailure,
        "pre-tokenizer pattern is refused at offset \(offset): \(Self.text(of: error)); "
          + "PCRE2 must be built with Unicode support")
    }
    unsafe code = compiled
    // Without a JIT compiler (a hardened system may forbid it) the interpreter matches the same.
    _ = unsafe pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE))
  }

  deinit { unsafe pcre2_code_free_8(code) }

  /// Calls `body` with every piece of `text[piece]`: the matches, and what lies between them.
  func split(
    _ piece: Range<Int>, of text: UnsafeBufferPointer<UInt8>, with matcher: borrowing Matcher,
    _ body: (Range<Int>) throws(TokenizerError) -> Void
  ) throws(TokenizerError) {
    // The piece is the whole subject: looking ahead stops at its end.
    let subject = unsafe UnsafeBufferPointer(rebasing: text[piece])
    var position = 0
    while position < subject.count {
      let match = try unsafe firstMatch(in: subject, from: position, with: matcher)
      let range = match ?? subject.count..<subject.count
      if range.lowerBound > position {
        try body(piece.lowerBound + position..<piece.lowerBound + range.lowerBound)
      }
      // A match is never empty: every alternative of every pattern takes a character.
      guard !range.isEmpty else { return }
      try body(piece.lowerBound + range.lowerBound..<piece.lowerBound + range.upperBound)
      position = range.upperBound
    }
  }

  /// `subject` is well-formed UTF-8 and `position` the start of a character.
  private func firstMatch(
    in subject: UnsafeBufferPointer<UInt8>, from position: Int, with matcher: borrowing Matcher
  ) throws(TokenizerError) -> Range<Int>? {
    let status = unsafe pcre2_match_8(
      code, subject.baseAddress, subject.count, position, UInt32(PCRE2_NO_UTF_CHECK),
      matcher.matchData, matcher.context)
    if status == PCRE2_ERROR_NOMATCH { return nil }
    guard status > 0, let vector = unsafe pcre2_get_ovector_pointer_8(matcher.matchData) else {
      throw TokenizerError(
        .patternFailure,
        "pre-tokenizer pattern gave up at byte \(position) of a text of \(subject.count) bytes: "
          + Self.text(of: status))
    }
    return unsafe vector[0]..<vector[1]
  }

  /// PCRE2's words for an error number.
  private static func text(of error: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    let length = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
      unsafe pcre2_get_error_message_8(error, bytes.baseAddress, bytes.count)
    }
    return length < 0
      ? "PCRE2 error \(error)" : String(decoding: buffer[..<Int(length)], as: UTF8.self)
  }

  /// Working memory and limits of one thread's matching.
  @safe struct Matcher: ~Copyable {
    fileprivate let matchData: OpaquePointer
    fileprivate let context: OpaquePointer
    private let stack: OpaquePointer?

    /// Limits for texts of up to `textLength` bytes.
    ///
    /// No pattern here takes more than a few steps a byte, so a limit in proportion to the text
    /// never stops a legitimate match and stops any other in the time of a long text.
    init(textLength: Int) throws(TokenizerError) {
      guard let data = unsafe pcre2_match_data_create_8(1, nil) else { throw Self.outOfMemory }
      guard let context = unsafe pcre2_match_context_create_8(nil) else {
        unsafe pcre2_match_data_free_8(data)
        throw Self.outOfMemory
      }
      unsafe self.matchData = data
      unsafe self.context = context
      let steps = textLength.multipliedReportingOverflow(by: 64)
      _ = unsafe pcre2_set_match_limit_8(
        context, UInt32(clamping: steps.overflow ? Int.max : max(steps.partialValue, 10_000_000)))
      // 32 KiB to begin with, as PCRE2 has by itself, and room to backtrack over a long word.
      unsafe stack = pcre2_jit_stack_create_8(32 << 10, 16 << 20, nil)
      unsafe pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack))
    }

    deinit {
      unsafe pcre2_jit_stack_free_8(stack)
      unsafe pcre2_match_context_free_8(context)
      unsafe pcre2_match_data_free_8(matchData)
    }

    private static var outOfMemory: TokenizerError {
      TokenizerError(.patternFailure, "out of memory for matching pre-tokenizer patterns")
    }
  }
}
