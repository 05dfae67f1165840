/// Parts of the store that can be left out, so that a measurement shows what each is worth. None of
/// them changes a result.
public struct StoreFeatures: OptionSet, Sendable {
  /// One bit a feature.
  public let rawValue: Int

  /// Features by their bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// Slots lie in huge pages.
  public static let hugePages = StoreFeatures(rawValue: 1)
  /// A slice is computed as soon as it has landed; else the whole expert is waited for.
  public static let sliceReadiness = StoreFeatures(rawValue: 2)
  /// The experts of the next layer are read while its mixer computes a chunk that will use most of them.
  public static let chunkReadAhead = StoreFeatures(rawValue: 4)
  /// Everything, as it should be.
  public static let all: StoreFeatures = [.hugePages, .sliceReadiness, .chunkReadAhead]
}
