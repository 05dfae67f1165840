public import Foundation

/// A running process whose standard output is taken when the test says so: with little room in the
/// pipe it stops at a chosen place, however fast or slow the machine is.
public final class PacedRun {
  private let process: Process
  private let capture: TemporaryDirectory
  private let reading: FileHandle
  /// Bytes that lay in the pipe before the process began.
  private let filler: Int

  /// Starts `process`.
  /// - Parameters:
  ///   - process: Not started; its standard streams are set here.
  ///   - lead: Bytes of output after which it waits until ``end(within:)`` takes them; nil for as
  ///     many as a pipe holds.
  /// - Throws: What kept it from starting.
  public init(_ process: Process, lead: Int? = nil) throws {
    self.process = process
    capture = try TemporaryDirectory()
    let pipe = Pipe()
    reading = pipe.fileHandleForReading
    filler = lead.map { Self.capacity(of: pipe.fileHandleForWriting) - $0 } ?? 0
    try pipe.fileHandleForWriting.write(contentsOf: Data(count: filler))
    _ = FileManager.default.createFile(atPath: capture.file("err"), contents: nil)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = pipe
    process.standardError = try FileHandle(forWritingTo: URL(filePath: capture.file("err")))
    try process.run()
    try pipe.fileHandleForWriting.close()
  }

  /// Bytes that a pipe takes before its writer has to wait; it is made as small as it gets.
  private static func capacity(of pipe: FileHandle) -> Int {
    #if os(Linux)
      let setSize: Int32 = 1031  // F_SETPIPE_SZ, which the import of the C library hides
      return Int(max(4096, fcntl(pipe.fileDescriptor, setSize, 4096)))
    #else
      return 65536
    #endif
  }

  /// Sends `signal` to the process.
  public func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  /// What the process has written to standard error by now.
  public var errorsSoFar: String {
    String(decoding: (try? FileBytes.read(capture.file("err"))) ?? Data(), as: UTF8.self)
  }

  /// Waits until `condition` holds; false when it does not within `seconds`, or the process ends.
  public func wait(_ seconds: Double = 30, until condition: () -> Bool) -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while !condition() {
      guard process.isRunning, ContinuousClock.now < deadline else { return condition() }
      usleep(1000)
    }
    return true
  }

  /// Waits until at least `count` bytes of output are there; false when they do not come.
  public func waitForOutput(_ count: Int = 1) -> Bool {
    wait {
      var available: Int32 = 0
      return ioctl(reading.fileDescriptor, UInt(FIONREAD), &available) == 0
        && Int(available) >= filler + count
    }
  }

  /// Takes all output and waits for the end; a process that has not ended after `seconds` is killed,
  /// and the result is nil.
  public func end(within seconds: Double) throws -> Binary.Outcome? {
    let deadline = ContinuousClock.now + .seconds(seconds)
    var output = Data()
    var piece = [UInt8](repeating: 0, count: 4096)
    var isOpen = true
    while isOpen || process.isRunning {
      guard ContinuousClock.now < deadline else {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        return nil
      }
      var state = pollfd(fd: reading.fileDescriptor, events: Int16(POLLIN), revents: 0)
      guard isOpen, poll(&state, 1, 10) > 0 else {
        if !isOpen { usleep(1000) }
        continue
      }
      let count = read(reading.fileDescriptor, &piece, piece.count)
      if count > 0 { output.append(contentsOf: piece[..<count]) } else { isOpen = false }
    }
    process.waitUntilExit()
    let status = process.terminationStatus
    return Binary.Outcome(
      output: String(decoding: output.dropFirst(filler), as: UTF8.self),
      errors: String(decoding: try FileBytes.read(capture.file("err")), as: UTF8.self),
      status: process.terminationReason == .uncaughtSignal ? -status : status)
  }
}
