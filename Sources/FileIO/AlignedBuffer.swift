internal import CPlatform
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Page-aligned memory straight from the kernel, zero at first, freed with its owner.
///
/// Regions of 2 MiB and more start on a 2 MiB boundary and ask for huge pages: direct reads into
/// them run 1.3-1.7 times as fast as into 4 KiB pages and cost a fifth of the CPU time.
/// The owner alone decides who may touch which bytes when; the type adds no locking.
public final class AlignedBuffer: @unchecked Sendable {
  // Sendable: `bytes` never changes, and access to what it points to is the owner's to order.

  /// The whole region, `count` bytes.
  public let bytes: UnsafeMutableRawBufferPointer
  private let mapping: UnsafeMutableRawPointer
  private let mappedLength: Int

  private static let hugePage = 2 << 20

  /// Maps `count` bytes (at least one page); throws `.outOfMemory` when the kernel refuses.
  ///
  /// Without `usesHugePages` the region stays in small pages, to measure what they cost.
  public init(count: Int, usesHugePages: Bool = true) throws(FileIOError) {
    precondition(count >= 0)
    let wantsHuge = usesHugePages && count >= Self.hugePage
    let alignment = wantsHuge ? Self.hugePage : 16384
    let length = max(count, 1) + alignment
    let flags = MAP_PRIVATE | MAP_ANON
    guard let address = mmap(nil, length, PROT_READ | PROT_WRITE, flags, -1, 0),
      address != MAP_FAILED
    else {
      throw FileIOError(
        .outOfMemory, path: "memory",
        message: "the system refused \(count) bytes; free memory, or raise this process's limit "
          + "on it (ulimit -v)")
    }
    mapping = address
    mappedLength = length
    let aligned = (UInt(bitPattern: address) + UInt(alignment - 1)) & ~UInt(alignment - 1)
    let start = UnsafeMutableRawPointer(bitPattern: aligned)
    bytes = UnsafeMutableRawBufferPointer(start: start, count: count)
    if wantsHuge, let start { _ = cp_advise_huge_pages(start, count) }
  }

  deinit { munmap(mapping, mappedLength) }

  /// Has the kernel give `range` its pages now, zeroed, instead of one by one when they are first
  /// touched. Harmless to do twice; does nothing where the system has no call for it.
  public func populate(_ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    guard let base = bytes.baseAddress, !range.isEmpty else { return }
    let first = range.lowerBound / 4096 * 4096
    cp_populate(base + first, range.upperBound - first)
  }

  /// Bytes of the region.
  public var count: Int { bytes.count }
}
