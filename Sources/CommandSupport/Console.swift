internal import CPlatform
internal import Synchronization
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Standard output for results, standard error for everything else.
public enum Console {
  /// The status that a broken pipe ends the program with: 0, or what the answer is by then.
  private static let brokenPipeStatus = Atomic<Int32>(0)

  /// Has a reader that goes away before it was told change nothing about an answer of no.
  public static func willAnswerNo() { brokenPipeStatus.store(1, ordering: .relaxed) }

  /// Makes a reader that has gone away end the program quietly, with status 0.
  public static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

  /// Writes `text` to standard output at once. A broken pipe ends the program with status 0; any
  /// other failure (a full disk) with status 2 and a message.
  public static func output(_ text: String) { write(text, to: STDOUT_FILENO, isResult: true) }

  /// Writes `text` and a line feed to standard output.
  public static func line(_ text: String) { output(text + "\n") }

  /// Writes `text` and a line feed to standard error.
  public static func message(_ text: String) {
    write(text + "\n", to: STDERR_FILENO, isResult: false)
  }

  /// Writes `text` and a line feed to standard error if the environment has `MOERUN_DEBUG`: for what
  /// changes no result and helps only those who look for a reason.
  public static func debug(_ text: @autoclosure () -> String) {
    if ProcessInfo.processInfo.environment["MOERUN_DEBUG"] != nil { message(text()) }
  }

  static func status(_ text: String) { write(text, to: STDERR_FILENO, isResult: false) }

  /// Whether standard error is a terminal.
  public static var isErrorTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Whether a question can be asked: standard input and standard error are a terminal.
  public static var isInteractive: Bool { isatty(STDIN_FILENO) == 1 && isErrorTerminal }

  /// Writes `question` to standard error and reads a line from standard input; nil at its end.
  public static func ask(_ question: String) -> String? {
    status(question)
    return readLine()
  }

  /// Writes `value` as JSON with sorted keys in snake_case to standard output.
  public static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    line(String(decoding: try encoder.encode(value), as: UTF8.self))
  }

  private static func write(_ text: String, to descriptor: Int32, isResult: Bool) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
      if count >= 0 {
        bytes = bytes.dropFirst(count)
        // A signal may end the process before the line goes on.
        if isResult, bytes.isEmpty { cp_set_unfinished_line(!text.utf8.isLine) }
      } else if errno != EINTR && errno != EAGAIN {
        guard isResult else { return }
        let code = errno
        // A live view may hold the terminal.
        cp_restore_terminal()
        if code == EPIPE { exit(brokenPipeStatus.load(ordering: .relaxed)) }
        let reason = String(cString: strerror(code))
        Console.message("standard output: cannot write: \(reason)")
        exit(2)
      }
    }
  }
}

extension String.UTF8View {
  /// Whether it ends with a line feed.
  fileprivate var isLine: Bool { last == UInt8(ascii: "\n") }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
  write(descriptor, bytes, count)
}
