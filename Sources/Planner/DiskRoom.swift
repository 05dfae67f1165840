internal import FileIO

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The room on a disk.
public enum DiskRoom {
  /// Bytes that this user may write to the disk of `path`, which need not exist: that of the nearest
  /// directory above it. nil when the system does not say.
  public static func freeBytes(at path: String) -> UInt64? {
    var parts = (path.hasPrefix("/") ? path : "./" + path).split(
      separator: "/", omittingEmptySubsequences: false)
    while parts.count > 1, !Directory.exists(parts.joined(separator: "/")) { parts.removeLast() }
    let place = parts.joined(separator: "/")
    var facts = statvfs()
    guard statvfs(place.isEmpty ? "/" : place, &facts) == 0 else { return nil }
    let (bytes, overflow) = UInt64(facts.f_bavail).multipliedReportingOverflow(
      by: UInt64(facts.f_frsize))
    return overflow ? .max : bytes
  }
}
