/// What the reader accepts at most.
///
/// Counts and lengths in a file are claims of whoever made it. Each is held against the bytes that
/// are really there, and against a limit far above what models use, so that a hostile header costs
/// at most 64 MiB of memory beyond its own bytes.
public enum GGUFLimits {
  /// Bytes of a header, padding included. A vocabulary of 250,000 tokens with its merges takes
  /// about 15 MB; a gigabyte leaves room for embedded tokenizer files.
  public static let headerByteCount = 1 << 30
  /// Metadata entries. Models have 20 to 100; each costs about 100 bytes once read.
  public static let metadataCount = 1 << 14
  /// Bytes of one metadata key, as the GGUF specification says (2^16 - 1).
  public static let keyByteCount = 65_535
  /// Bytes of all metadata keys together: they are copied, so their sum has a limit of its own.
  public static let keyByteCountTotal = 4 << 20
  /// Bytes of one metadata string. The largest in use are whole `tokenizer.json` files of 30 MB.
  public static let stringByteCount = 256 << 20
  /// Elements of one metadata array, 64 times the largest vocabulary: a list of that many Swift
  /// strings takes 256 MiB.
  public static let arrayCount = 1 << 24
  /// Arrays within arrays. ggml writes none; the specification allows them.
  public static let arrayDepth = 8
  /// Tensors in one file. A 60-layer model of 256 experts with one tensor for each matrix of each
  /// expert has 46,000; each costs about 300 bytes once read.
  public static let tensorCount = 1 << 16
  /// Bytes of a tensor name. ggml's own limit is 63, builds of it with longer names exist.
  public static let tensorNameByteCount = 127
  /// Dimensions of a tensor, `GGML_MAX_DIMS`.
  public static let dimensionCount = 4
  /// Bytes of `general.alignment`, which must be a power of two as in ggml. It is there for mapping
  /// and direct reads, and no page or device sector exceeds 64 KiB but huge pages, which nobody
  /// aligns tensors to; the limit bounds the padding of a header.
  public static let alignment: UInt32 = 1 << 20
}
