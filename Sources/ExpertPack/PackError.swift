/// Why a source cannot be packed, or a pack cannot be trusted.
public struct PackError: Error, Sendable, CustomStringConvertible {
  /// What a caller may decide on.
  public enum Code: String, Sendable {
    /// The source has no expert tensors in the `*_exps` convention.
    case notMixtureOfExperts = "not_mixture_of_experts"
    /// The source's expert tensors contradict each other.
    case unsupportedSource = "unsupported_source"
    /// An unfinished pack was begun from another source.
    case wrongSource = "wrong_source"
    /// The directory holds no finished pack.
    case notAPack = "not_a_pack"
    /// The pack was written by a newer version.
    case unsupportedVersion = "unsupported_version"
    /// A file of the pack is missing.
    case missing
    /// A directory is not the volume of a striped pack that it is listed as.
    case wrongVolume = "wrong_volume"
    /// A file is shorter or longer than the manifest says.
    case wrongLength = "wrong_length"
    /// Bytes differ from what a checksum promises.
    case damaged
    /// The manifest is not one that a writer of this format makes.
    case invalidManifest = "invalid_manifest"
  }

  /// What a caller may decide on.
  public let code: Code
  /// The file concerned.
  public let path: String
  /// What was expected, what was found, and the next step if there is one.
  public let message: String

  /// An error about the file at `path`; `message` does not repeat the path.
  public init(_ code: Code, path: String, _ message: String) {
    self.code = code
    self.path = path
    self.message = message
  }

  /// Path and message.
  public var description: String { "\(path): \(message)" }
}
