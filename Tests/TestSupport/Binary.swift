public import Foundation

/// A built command-line tool, run as users run it.
public struct Binary: Sendable {
  /// What a run printed, and how it ended.
  public struct Outcome: Sendable {
    /// All of standard output.
    public let output: String
    /// All of standard error.
    public let errors: String
    /// Exit status, or minus the number of the signal that ended it.
    public let status: Int32
  }

  private let url: URL

  /// The `moepack` tool of this build.
  public static let moepack = Binary(named: "moepack")
  /// The `moerun` tool of this build.
  public static let moerun = Binary(named: "moerun")

  private init(named name: String) {
    // The test runner lies beside the products that were built with it.
    var directory = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    #if os(Linux)
      if let runner = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
        directory = URL(filePath: runner).deletingLastPathComponent()
      }
    #else
      for bundle in Bundle.allBundles where bundle.bundlePath.hasSuffix(".xctest") {
        directory = bundle.bundleURL.deletingLastPathComponent()
      }
    #endif
    url = directory.appending(path: name)
  }

  /// Keeps what the tools note for their next run out of the user's own cache directory.
  private static let cache: [String: String] = {
    guard let directory = try? TemporaryDirectory.untilExit() else { return [:] }
    return ["XDG_CACHE_HOME": directory.path]
  }()

  /// Where the tool lies.
  public var path: String { url.path }

  /// A process of the tool with `arguments`, not started.
  public func process(
    _ arguments: [String], environment: [String: String] = [:], directory: String? = nil
  ) -> Process {
    let process = Process()
    process.executableURL = url
    process.arguments = arguments
    let base = ProcessInfo.processInfo.environment.merging(Self.cache) { $1 }
    process.environment = base.merging(environment) { $1 }
    if let directory { process.currentDirectoryURL = URL(filePath: directory) }
    return process
  }

  /// Runs the tool to its end.
  @discardableResult
  public func run(
    _ arguments: [String], environment: [String: String] = [:], directory: String? = nil
  ) throws -> Outcome {
    let capture = try TemporaryDirectory()
    let process = process(arguments, environment: environment, directory: directory)
    // Files, not pipes: nobody has to drain them while the tool runs.
    for name in ["out", "err"] {
      _ = FileManager.default.createFile(atPath: capture.file(name), contents: nil)
    }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: capture.file("out")))
    process.standardError = try FileHandle(forWritingTo: URL(filePath: capture.file("err")))
    try process.run()
    process.waitUntilExit()
    let status = process.terminationStatus
    return Outcome(
      output: String(decoding: try FileBytes.read(capture.file("out")), as: UTF8.self),
      errors: String(decoding: try FileBytes.read(capture.file("err")), as: UTF8.self),
      status: process.terminationReason == .uncaughtSignal ? -status : status)
  }
}
