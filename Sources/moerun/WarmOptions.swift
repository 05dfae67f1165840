import ArgumentParser
import CommandSupport
import ExpertStore
import ModelGraph

/// Whether a run starts with the experts that were hot at the end of the last one.
struct WarmOptions: ParsableArguments {
  @Flag(
    inversion: .prefixedNo,
    help: ArgumentHelp(
      """
      Read the experts that were hot at the end of the last run ahead, while no other read waits. \
      (default: --warm, for bench --no-warm)
      """,
      discussion: """
        Which experts were hot is kept at the end of every run, with --no-warm too, in the user's \
        cache directory. The text never depends on it.
        """))
  var warm: Bool?

  /// Starts to warm the store of `loaded`, unless told otherwise; `isDefault` decides when nothing
  /// was said.
  func begin(_ loaded: RunOptions.Loaded, isDefault: Bool = true) -> HotExperts {
    let hot = HotExperts(loaded)
    if warm ?? isDefault { hot.warm() }
    return hot
  }
}

/// The hot set of the pack that runs: read at the start, kept at the end. Whatever goes wrong with
/// its file costs time and nothing else, so it is told to those who debug alone.
struct HotExperts {
  private let store: ExpertStore
  private let set: HotSet?
  private let expertCounts: [Int]

  init(_ loaded: RunOptions.Loaded) {
    store = loaded.model.store
    set = HotSet(pack: loaded.digest)
    expertCounts = loaded.model.store.expertCounts
  }

  /// Begins to read the kept experts in the background.
  fileprivate func warm() {
    switch set?.load(expertCounts: expertCounts) {
    case .experts(let experts): store.warm(experts)
    case .unusable(let reason): Console.debug("moerun: hot set left out: \(reason)")
    case .nothing, nil: break
    }
  }

  /// Keeps what is hot now. A run that asked for no expert knows nothing better than the last one.
  func keep() {
    guard let set, store.statistics.expertsRequested > 0 else { return }
    do {
      try set.save(store.hotExperts)
    } catch {
      Console.debug("moerun: hot set not kept: \(error)")
    }
  }
}
