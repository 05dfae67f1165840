import FileIO
import GGUF
import GGUFTestSupport
import Testing

/// Errors of the file underneath.
@Suite struct FailingReadTests {
  /// A header of about 20 MB, which takes several reads.
  private func largeHeader() -> [UInt8] {
    var header = HeaderBuilder(metadata: 20)
    for index in 0..<20 {
      header.key("k\(index)", .array)
      header.array(.uint8, count: 1 << 20)
      header.bytes += repeatElement(UInt8(index), count: 1 << 20)
    }
    header.pad()
    return header.bytes
  }

  @Test("V09 a failure of any read is the error that is reported, and nothing is kept")
  func failures() throws {
    let bytes = largeHeader()
    func parse(failingAt failing: Int, short: Bool) throws -> (header: GGUFHeader, reads: Int) {
      var reads = 0
      let header = try GGUFHeader.parse(
        path: "f.gguf", fileSize: UInt64(bytes.count), shard: 0
      ) { buffer, offset in
        reads += 1
        if reads - 1 == failing {
          if short { return 0 }
          throw FileIOError(.system, path: "f.gguf", message: "input/output error \(failing)")
        }
        let count = min(buffer.count, bytes.count - Int(offset))
        bytes[Int(offset)...].prefix(count).withUnsafeBytes { buffer.copyMemory(from: $0) }
        return count
      }
      return (header, reads)
    }
    let whole = try parse(failingAt: .max, short: false)
    #expect(byteArray(whole.header.bytes) == bytes)
    #expect(whole.reads == 5)
    for failing in 0..<whole.reads {
      do {
        _ = try parse(failingAt: failing, short: false)
        Issue.record("read \(failing) failed unnoticed")
      } catch let error as FileIOError {
        #expect(error.message == "input/output error \(failing)")
      }
      let error = try ggufError { _ = try parse(failingAt: failing, short: true) }
      #expect(error?.code == .truncated)
      #expect(error?.message.contains("the file became shorter while it was read") == true)
    }
  }

  @Test("V09 a file cut at any length is refused with the field that is missing")
  func truncatedFiles() throws {
    let (bytes, fileSize) = try sampleHeader()
    let directory = try TemporaryDirectory()
    let whole = try GGUFFile.open(directory.add("whole.gguf", bytes, size: fileSize))
    let end = try #require(whole.tensors.map { $0.offset + $0.byteCount }.max())
    for length in Array(stride(from: 0, to: Int(end), by: 7)) + [Int(end) - 1] {
      let path = try directory.add(
        "cut.gguf", Array(bytes.prefix(length)), size: UInt64(length))
      let error = try ggufError { _ = try GGUFFile.open(path) }
      let code: GGUFError.Code = length < bytes.count ? .truncated : .tensorOutsideFile
      #expect(error?.code == code, "\(length): \(error?.description ?? "accepted")")
      #expect(error?.path == path)
    }
  }

  @Test("a file that is not there or not a file is an error of the file")
  func missingFiles() throws {
    let directory = try TemporaryDirectory()
    for path in [directory.path + "/none.gguf", directory.path] {
      #expect(throws: FileIOError.self) { try GGUFFile.open(path) }
    }
  }

  @Test("opening a file reads its header and no data")
  func sparseFile() throws {
    var header = HeaderBuilder(tensors: 1)
    header.tensor("w", dimensions: [1 << 40])
    header.pad()
    let directory = try TemporaryDirectory()
    let path = try directory.add(
      "sparse.gguf", header.bytes, size: header.offset + 1 << 40)
    #expect(try GGUFFile.open(path).tensors[0].byteCount == 1 << 40)
  }
}
