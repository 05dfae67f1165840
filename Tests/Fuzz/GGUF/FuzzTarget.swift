internal import GGUF
internal import GGUFTestSupport

/// What libFuzzer calls with each input: the bytes are the start of a file.
///
/// Any input must be refused with an error or give a header for which everything holds; a trap or
/// a violation is a finding. The file is taken to be as long as the input, and once more to be
/// longer than any tensor, so that tensor checks are reached without megabytes of input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = Array(UnsafeBufferPointer(start: start, count: count))
  for fileSize in [UInt64(count), UInt64(Int64.max)] {
    let header: GGUFHeader
    do { header = try parseHeader(input, fileSize: fileSize) } catch let error as GGUFError {
      precondition(!error.description.isEmpty)
      continue
    } catch { fatalError("not an error of the parser: \(error)") }
    let found = violations(in: header, fileSize: fileSize)
    precondition(found.isEmpty, found.joined(separator: "\n"))
    let shard = GGUFShard(path: "test.gguf", fileSize: fileSize, header: header)
    do {
      let file = try GGUFFile(shards: [shard])
      for tensor in file.tensors { precondition(file.tensor(named: tensor.name) == tensor) }
    } catch {
      precondition(error is GGUFError, "not an error of the parser: \(error)")
    }
  }
  return 0
}
