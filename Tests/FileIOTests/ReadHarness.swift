import FileIO
import Foundation
import TestSupport
import Testing

/// A file of known bytes, memory to read it into, and what ended there.
final class ReadHarness: ReadCompletion {
  /// Backends that this machine has; without io_uring its tests are left out.
  static let backends = ReadBackend.allCases.filter(\.isAvailable)

  let directory: TemporaryDirectory
  let path: String
  let content: [UInt8]
  let file: File
  let memory: AlignedBuffer
  private let ended = Monitor<[(tag: UInt64, outcome: ReadOutcome)]>([])
  private let onEnd: @Sendable (ReadRequest) -> Void

  init(
    bytes: Int = 1 << 20, memory: Int = 4 << 20, direct: Bool = true,
    onEnd: @escaping @Sendable (ReadRequest) -> Void = { _ in }
  ) throws {
    directory = try TemporaryDirectory()
    path = directory.file("data")
    var random = RandomBytes(seed: 3)
    content = random.next(count: bytes)
    try Data(content).write(to: URL(filePath: path))
    file = direct ? try File.readingDirect(path) : try File.reading(path)
    self.memory = try AlignedBuffer(count: memory)
    self.onEnd = onEnd
  }

  func queue(_ backend: ReadBackend, depth: Int = 4, isRegistered: Bool = true) throws
    -> any ReadQueue
  {
    let settings = ReadSettings(backend: backend, depth: depth, split: 4)
    return try settings.makeQueue(
      files: isRegistered ? [file] : [],
      memory: isRegistered
        ? memory.bytes : UnsafeMutableRawBufferPointer(start: nil, count: 0), piece: 65536)
  }

  func request(
    _ offset: Int, _ length: Int, at place: Int, priority: ReadPriority = .demand, tag: UInt64 = 0
  ) -> ReadRequest {
    ReadRequest(
      file: file, offset: UInt64(offset),
      target: UnsafeMutableRawBufferPointer(rebasing: memory.bytes[place..<place + length]),
      priority: priority, tag: tag, completion: self)
  }

  func readEnded(_ request: ReadRequest, _ outcome: ReadOutcome) {
    onEnd(request)
    ended.withLock { $0.append((request.tag, outcome)) }
    ended.wakeAll()
  }

  /// The outcomes so far, in the order the reads ended, once there are `count`.
  func wait(for count: Int) -> [(tag: UInt64, outcome: ReadOutcome)] {
    ended.wait(while: { $0.count < count }) { $0 }
  }

  /// Whether `length` bytes at `place` in the memory are those at `offset` in the file.
  func holds(_ offset: Int, _ length: Int, at place: Int) -> Bool {
    memory.bytes[place..<place + length].elementsEqual(content[offset..<offset + length])
  }
}

extension ReadOutcome {
  /// Bytes read, nil for any other outcome.
  var count: Int? {
    if case .read(let count) = self { return count }
    return nil
  }

  var error: FileIOError? {
    if case .failed(let error) = self { return error }
    return nil
  }

  var isCancelled: Bool {
    if case .cancelled = self { return true }
    return false
  }
}
