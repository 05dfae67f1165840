#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif

/// Where programs keep what they can do without: hints for the next run, a small file each.
package enum UserCacheDirectory {
  /// `$XDG_CACHE_HOME/moepack` or `~/.cache/moepack`, `~/Library/Caches/moepack` on macOS; nil when
  /// the environment names neither.
  package static var path: String? {
    let environment = ProcessInfo.processInfo.environment
    if let cache = environment["XDG_CACHE_HOME"], cache.hasPrefix("/") { return cache + "/moepack" }
    guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
    #if canImport(Darwin)
      return home + "/Library/Caches/moepack"
    #else
      return home + "/.cache/moepack"
    #endif
  }
}
