internal import CZstd
internal import FileIO

/// One zstd frame at a time, whole in memory.
enum Zstd {
  /// Level for headers: 12 packs a 10 MB tokenizer in under a second.
  private static let level: Int32 = 12

  /// `bytes` as one frame that carries its content size and a checksum.
  static func compress(_ bytes: UnsafeRawBufferPointer, path: String) throws(PackError) -> [UInt8] {
    guard let context = ZSTD_createCCtx() else {
      throw PackError(.damaged, path: path, "out of memory while compressing")
    }
    defer { ZSTD_freeCCtx(context) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1)
    var out = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
    let size = out.withUnsafeMutableBytes {
      ZSTD_compress2(context, $0.baseAddress, $0.count, bytes.baseAddress, bytes.count)
    }
    guard ZSTD_isError(size) == 0 else {
      throw PackError(
        .damaged, path: path, "zstd cannot compress: \(String(cString: ZSTD_getErrorName(size)))")
    }
    out.removeLast(out.count - size)
    return out
  }

  /// The content of the single frame `frame`, which must be exactly `count` bytes long.
  static func decompress(
    _ frame: [UInt8], count: Int, path: String
  ) throws -> AlignedBuffer {
    let buffer = try AlignedBuffer(count: count)
    let (size, extent) = frame.withUnsafeBytes { source in
      (
        ZSTD_decompress(
          buffer.bytes.baseAddress, count, source.baseAddress, source.count),
        ZSTD_findFrameCompressedSize(source.baseAddress, source.count)
      )
    }
    guard ZSTD_isError(size) == 0, size == count, extent == frame.count else {
      let found =
        ZSTD_isError(size) != 0 ? String(cString: ZSTD_getErrorName(size)) : "\(size) bytes"
      throw PackError(
        .damaged, path: path, "expected one zstd frame of \(count) bytes, found: \(found)")
    }
    return buffer
  }
}
