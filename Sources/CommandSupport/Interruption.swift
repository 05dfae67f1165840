public import ArgumentParser
internal import CPlatform

/// What Ctrl-C, SIGTERM and SIGHUP do to a command beside ending it at once, as ``runCommand`` has it.
///
/// Signals belong to the process, so everything here is for its one command.
public enum Interruption {
  /// Seconds that a command has to stop by itself: less than what service managers wait before they
  /// kill, more than a layer takes on a slow disk.
  public static let graceSeconds = 5

  /// From now on the first signal is only noted in ``isRequested``, and the command stops by itself.
  ///
  /// A second signal ends the process at once, and so do ``graceSeconds`` without an end: a read that
  /// hangs keeps nobody waiting. `program` is the name that the message then starts with.
  public static func stopsGracefully(_ program: String) {
    cp_stop_on_interrupt(
      "\(program): interrupted; ended without waiting for what was being read\n",
      UInt32(graceSeconds))
  }

  /// Whether a signal asked the command to stop.
  public static var isRequested: Bool { cp_interrupt_signal() != 0 }

  /// Status of a command that stopped because it was asked to: 128 + the signal's number.
  public static var exitCode: ExitCode { ExitCode(128 + cp_interrupt_signal()) }

  /// Removes the file at `path` when a signal ends the process; nil for no file. One at a time.
  public static func removes(_ path: String?) {
    // A path too long to keep cannot be created either.
    _ = cp_remove_on_interrupt(path)
  }
}
