import CommandSupport
import ExpertPack
import FileIO

/// How a run reads experts, and why.
struct ReadChoice {
  /// Where the settings that were not given come from.
  enum Origin: String, Encodable {
    /// All were given as options.
    case options
    /// The disk was measured just now.
    case probe
    /// The disk was measured by an earlier run.
    case cache
    /// It could not be measured.
    case standard = "default"
  }

  let settings: ReadSettings
  let origin: Origin
  /// What the settings reached when they were measured; nil when they were not.
  let measuredBytesPerSecond: Double?

  /// Settles how `pack` is read: what the options say, and for the rest what the disk does best.
  /// - Throws: `FileIOError` when a backend was asked for that the system refuses.
  init(pack: PackDirectory, backend: ReadBackend?, depth: Int?, split: Int?) throws {
    if let backend, !backend.isAvailable {
      throw FileIOError(
        .system, path: "--io-backend \(backend.rawValue)",
        message: "the system has no \(backend.rawValue) for this process; use --io-backend pread")
    }
    var base = ReadProbe.Sample(settings: .standard, bytesPerSecond: 0)
    var origin = Origin.options
    if backend == nil || depth == nil || split == nil {
      (base, origin) = Self.measured(pack)
    }
    let chosen = ReadSettings(
      backend: backend ?? base.settings.backend, depth: depth ?? base.settings.depth,
      split: split ?? base.settings.split)
    settings = chosen
    self.origin = origin
    let isMeasured = chosen == base.settings && base.bytesPerSecond > 0
    measuredBytesPerSecond = isMeasured ? base.bytesPerSecond : nil
  }

  private static func measured(_ pack: PackDirectory) -> (ReadProbe.Sample, Origin) {
    let standard = ReadProbe.Sample(settings: .standard, bytesPerSecond: 0)
    let files = pack.files.compactMap { entry in
      (try? File.readingDirect(entry.path)).map { (file: $0, byteCount: UInt64(entry.byteCount)) }
    }
    let subject = ReadProbe.Subject(files: files, recordBytes: pack.maximumSlotBytes)
    guard let finding = ReadProbe.finding(subject) else { return (standard, .standard) }
    return (finding.sample, finding.isNew ? .probe : .cache)
  }
}

/// How experts were read, in every report.
struct ReadReport: Encodable {
  let backend: ReadBackend
  let threads: Int
  let split: Int
  let chosenBy: ReadChoice.Origin
  let measuredBytesPerSecond: Double?
  let hasRegisteredMemory: Bool?

  /// - Parameters:
  ///   - choice: What was chosen.
  ///   - settings: What the system granted; nil before anything was started.
  ///   - hasRegisteredMemory: Whether io_uring has the slots registered; nil when unknown.
  init(_ choice: ReadChoice, settings: ReadSettings? = nil, hasRegisteredMemory: Bool? = nil) {
    let actual = settings ?? choice.settings
    backend = actual.backend
    threads = actual.depth
    split = actual.split
    chosenBy = choice.origin
    measuredBytesPerSecond = choice.measuredBytesPerSecond
    self.hasRegisteredMemory = hasRegisteredMemory
  }

  /// `uring, 8 reads at once, 4 an expert (measured just now, 3.1 GiB/s)`.
  var text: String {
    let reason =
      switch chosenBy {
      case .options: "as told"
      case .probe: "measured just now"
      case .cache: "measured earlier"
      case .standard: "not measured"
      }
    let rate = measuredBytesPerSecond.map { ", \(ByteSize.text(UInt64($0)))/s" } ?? ""
    return "\(backend.rawValue), \(threads) reads at once, \(split) an expert (\(reason)\(rate))"
  }
}
