internal import CPlatform
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif

/// The outcome of a probe, kept for the next run in the user's cache directory: one small JSON file
/// a device. What is in it is a hint: anything unexpected counts as nothing.
public struct ReadProfile: Sendable {
  /// Path of the file that holds the profile.
  public let path: String
  private let device: String

  /// Days after which a device is probed again.
  private static let validDays: Double = 30
  private static let version = 2
  private static let sizeLimit = 4096

  private struct Content: Codable {
    let version: Int
    let device: String
    let measuredAt: Double
    let backend: ReadBackend
    let depth: Int
    let split: Int
    let bytesPerSecond: Double
  }

  /// The profile of the device that `file` is on, for experts of about `recordBytes`; nil when the
  /// device has no number or there is no directory.
  /// - Parameters:
  ///   - file: A file of the pack.
  ///   - recordBytes: Bytes of an expert. The best depth depends on how large reads are, so every
  ///     power of two has its own profile.
  ///   - directory: Where profiles are kept; nil for the user's cache directory.
  public init?(file: File, recordBytes: Int, directory: String? = nil) {
    var (major, minor): (UInt32, UInt32) = (0, 0)
    cp_device(file.descriptorNumber, &major, &minor)
    guard major != 0 || minor != 0, let directory = directory ?? UserCacheDirectory.path else {
      return nil
    }
    let sizeClass = max(recordBytes, 1).leadingZeroBitCount
    let size = 1 << (Int.bitWidth - 1 - sizeClass)
    let model = Self.model(major: major, minor: minor)
    device = "\(major):\(minor) \(model) \(size)"
    path = "\(directory)/reads-\(major)-\(minor)-\(size).json"
  }

  /// The sample that was kept; nil when there is none that can be used.
  public var kept: ReadProbe.Sample? {
    guard let bytes = try? File.contents(path, atMost: Self.sizeLimit) else { return nil }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let content = try? decoder.decode(Content.self, from: Data(bytes)),
      content.version == Self.version, content.device == device,
      (1...64).contains(content.depth), ReadSettings.splits.contains(content.split),
      content.bytesPerSecond.isFinite, content.bytesPerSecond > 0, content.backend.isAvailable
    else { return nil }
    let age = Date().timeIntervalSince1970 - content.measuredAt
    guard age >= 0, age < Self.validDays * 86400 else { return nil }
    let settings = ReadSettings(
      backend: content.backend, depth: content.depth, split: content.split)
    return ReadProbe.Sample(settings: settings, bytesPerSecond: content.bytesPerSecond)
  }

  /// Keeps `sample`; a directory that cannot be written costs the next run a probe, nothing else.
  public func keep(_ sample: ReadProbe.Sample) {
    let content = Content(
      version: Self.version, device: device, measuredAt: Date().timeIntervalSince1970,
      backend: sample.settings.backend, depth: sample.settings.depth,
      split: sample.settings.split, bytesPerSecond: sample.bytesPerSecond)
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    guard let data = try? encoder.encode(content) else { return }
    let directory = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    try? FileManager.default.createDirectory(
      atPath: directory.joined(separator: "/"), withIntermediateDirectories: true)
    try? AtomicFile.write(Array(data), to: path)
  }

  /// What the block device calls itself, empty when unknown: device numbers are reused.
  private static func model(major: UInt32, minor: UInt32) -> String {
    for place in ["device/model", "../device/model", "device/serial", "serial"] {
      let path = "/sys/dev/block/\(major):\(minor)/\(place)"
      if let bytes = try? File.contents(path, atMost: Self.sizeLimit) {
        return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
          .joined(separator: " ")
      }
    }
    return ""
  }
}
