extension ReadProbe {
  /// What the disk of a subject does best, and whether it was measured just now.
  public struct Finding: Sendable {
    /// The setting, and what it reached.
    public let sample: Sample
    /// Whether it was measured just now, rather than by an earlier run.
    public let isNew: Bool
  }

  /// What an earlier probe of the disk found, kept in the user's cache directory; else what one finds
  /// now, which is kept. nil when there is nothing to measure or reading fails.
  public static func finding(_ subject: Subject) -> Finding? {
    guard let first = subject.files.first else { return nil }
    let profile = ReadProfile(file: first.file, recordBytes: subject.recordBytes)
    if let kept = profile?.kept { return Finding(sample: kept, isNew: false) }
    guard let sample = measure(subject) else { return nil }
    profile?.keep(sample)
    return Finding(sample: sample, isNew: true)
  }
}
