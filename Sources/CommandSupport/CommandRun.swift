public import ArgumentParser
internal import CPlatform

/// Exit codes of every command. Usage errors are argument-parser's 64.
public enum ExitStatus {
  /// The answer is no: damage was found.
  public static let no = ExitCode(1)
  /// It could not be done: I/O, corrupt input, out of memory.
  public static let failed = ExitCode(2)
}

/// Runs the body of a command: errors become one line on standard error and exit code 2.
/// Ctrl-C, SIGTERM and SIGHUP end the process at once, with status 130, 143 and 129, unless the body
/// chooses otherwise: ``Interruption``.
///
/// `program` is the name that the line starts with; `interruption` says what an interrupted command
/// leaves, and the next step. Throws an exit code, 64 for options that contradict each other.
public func runCommand(
  _ program: String, interruption: String = "nothing was changed", _ body: () throws -> Void
) throws {
  cp_reserve_standard_descriptors()
  Console.ignoreBrokenPipes()
  cp_exit_on_interrupt("\n\(program): interrupted; \(interruption)\n")
  do {
    try body()
  } catch let code as ExitCode {
    throw code
  } catch let error as ValidationError {
    // Thrown from here it would come with the usage of the program, not of the subcommand.
    Console.message("\(program): \(error.message)")
    throw ExitCode.validationFailure
  } catch {
    Console.message("\(program): \(error)")
    throw ExitStatus.failed
  }
}
