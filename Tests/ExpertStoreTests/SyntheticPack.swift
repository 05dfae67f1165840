import ExpertPack
import ExpertStore
import FileIO
import Foundation
import GGUF
import Packer
import TestSupport
import Tensors
import Testing

/// A small pack of random experts, and the bytes of its source to compare with.
final class SyntheticPack: Sendable {
  let directory: TemporaryDirectory
  let pack: PackDirectory
  private let source: [UInt8]

  init(_ model: SyntheticModel = SyntheticPack.model, kind: PackKind = .packed) throws {
    directory = try TemporaryDirectory()
    let path = directory.file("model.gguf")
    try model.write(to: path)
    let writer = try PackWriter(source: try GGUFFile.open(path), kind: kind, threads: 2)
    try writer.write(to: directory.file("model.moepack"), overwrite: false) { _ in }
    pack = try PackDirectory.open(directory.file("model.moepack"))
    source = Array(try FileBytes.read(path))
  }

  /// Three layers of six experts in four, two and one compute slices.
  static let model = SyntheticModel(layers: [
    .init(experts: 6, hidden: 64, intermediate: 128, gate: .q8_0, up: .q8_0, down: .q8_0),
    .init(experts: 6, hidden: 256, intermediate: 512, gate: .q4_K, up: .q4_K, down: .iq4_XS),
    .init(experts: 6, hidden: 64, intermediate: 33, gate: .f32, up: .f16, down: .bf16),
  ])

  /// Compute slices of an expert, by layer.
  static let sliceCounts = [4, 2, 1]

  func store(
    slots: Int, reading: ReadSettings = ReadSettings(backend: .pread, depth: 2, split: 4),
    verification: ReadVerification = .first, minimum: Int = 1, policy: CachePolicy = .auto,
    features: StoreFeatures = .all
  ) throws -> ExpertStore {
    try ExpertStore(
      source: ExpertSource(pack: pack), slotCount: slots, minimumSlots: minimum,
      reading: reading, verification: verification, policy: policy, features: features)
  }

  /// A store whose reads go wrong as `plan` says.
  func store(
    slots: Int, reading: ReadSettings, plan: FaultyQueue.Plan,
    verification: ReadVerification = .first
  ) throws -> (store: ExpertStore, queue: FaultyQueue) {
    let queue = Monitor<FaultyQueue?>(nil)
    let store = try ExpertStore(
      source: ExpertSource(pack: pack), slotCount: slots, minimumSlots: 1, reading: reading,
      verification: verification, policy: .auto
    ) { files, memory, piece in
      let made = FaultyQueue(
        try reading.makeQueue(files: files, memory: memory, piece: piece), plan: plan)
      queue.withLock { $0 = made }
      return made
    }
    return (store, try #require(queue.withLock { $0 }))
  }

  /// A store whose reads are held back as `priorities` say, with time as `now` has it.
  func store(
    slots: Int, holding priorities: Set<ReadPriority>, minimum: Int = 1, policy: CachePolicy = .lru,
    reading: ReadSettings = ReadSettings(backend: .pread, depth: 4, split: 4),
    now: MonotonicSeconds? = nil
  ) throws -> (store: ExpertStore, queue: HeldQueue) {
    let queue = Monitor<HeldQueue?>(nil)
    let store = try ExpertStore(
      source: ExpertSource(pack: pack), slotCount: slots, minimumSlots: minimum, reading: reading,
      verification: .first, policy: policy, now: now
    ) { files, memory, piece in
      let made = HeldQueue(
        try reading.makeQueue(files: files, memory: memory, piece: piece), holding: priorities)
      queue.withLock { $0 = made }
      return made
    }
    return (store, try #require(queue.withLock { $0 }))
  }

  /// Backends of this machine with some depths and all splits.
  static let readings: [ReadSettings] = ReadBackend.allCases.filter(\.isAvailable).flatMap {
    backend in
    [(1, 4), (2, 1), (16, 2), (16, 4), (5, 8)].map {
      ReadSettings(backend: backend, depth: $0.0, split: $0.1)
    }
  }

  /// Whether slice `index` of `slice` holds the source's bytes of this expert.
  func isEqual(_ slice: ExpertSlice, index: Int, of count: Int, layer: Int, expert: Int) -> Bool {
    func matches(_ view: MatrixView, _ part: String, isDown: Bool) -> Bool {
      guard let tensor = pack.source.tensor(named: "blk.\(layer).ffn_\(part)_exps.weight") else {
        return false
      }
      let sourceColumns = Int(tensor.dimensions[0])
      let sourceRowBytes = tensor.type.rowBytes(columns: sourceColumns)
      let sourceRows = Int(tensor.dimensions[1])
      let rowBytes = view.type.rowBytes(columns: view.columns)
      guard view.type == tensor.type, view.rows == (isDown ? sourceRows : sourceRows / count),
        view.columns == (isDown ? sourceColumns / count : sourceColumns)
      else { return false }
      return (0..<view.rows).allSatisfy { row in
        let sourceRow = expert * sourceRows + row + (isDown ? 0 : index * view.rows)
        let start =
          Int(tensor.offset) + sourceRow * sourceRowBytes + (isDown ? index * rowBytes : 0)
        return source.withUnsafeBytes { source in
          guard let base = source.baseAddress, start + rowBytes <= source.count else {
            return false
          }
          return memcmp(base + start, view.base + row * view.rowStride, rowBytes) == 0
        }
      }
    }
    guard let gate = slice.gate else { return false }
    return matches(gate, "gate", isDown: false) && matches(slice.up, "up", isDown: false)
      && matches(slice.down, "down", isDown: true)
  }

  /// Asks for `experts` slice by slice and checks every byte that is handed out; returns the ids in
  /// the order of their first slices. `meanwhile` is called by the threads for every piece of work.
  @discardableResult
  func check(
    _ store: ExpertStore, layer: Int, _ experts: [Int32], threads: Int = 1, ownWork: Int = 0,
    meanwhile: @escaping @Sendable () -> Void = {}
  ) throws -> [Int32] {
    /// Pieces by expert and index, with the own work as expert -1; and experts by their first slice.
    let seen = Monitor((count: [String: Int](), order: [Int32]()))
    let feed = SliceFeed(store)
    try feed.serve(layer: layer, experts: experts, ownWork: ownWork) {
      concurrently(threads) { _ in
        var work = feed.next(after: nil)
        while let unit = work {
          let expert = unit.position.map { experts[$0] } ?? -1
          seen.withLock { seen in
            seen.count["\(expert)/\(unit.index)", default: 0] += 1
            if expert >= 0, !seen.order.contains(expert) { seen.order.append(expert) }
          }
          meanwhile()
          if let slice = unit.slice {
            let isRight = self.isEqual(
              slice, index: unit.index, of: Self.sliceCounts[layer], layer: layer,
              expert: Int(expert))
            #expect(isRight, "layer \(layer), expert \(expert), slice \(unit.index)")
          }
          work = feed.next(after: unit)
        }
      }
    }
    var expected = Dictionary(uniqueKeysWithValues: (0..<ownWork).map { ("-1/\($0)", 1) })
    for expert in experts {
      for slice in 0..<Self.sliceCounts[layer] { expected["\(expert)/\(slice)"] = 1 }
    }
    #expect(seen.withLock { $0.count } == expected)
    return seen.withLock { $0.order }
  }

  /// Asks for `experts` one after the other and checks every byte that is served; returns the ids in
  /// serving order. `meanwhile` is called for every expert.
  @discardableResult
  func checkChunk(
    _ store: ExpertStore, layer: Int, _ experts: [Int32], meanwhile: () -> Void = {}
  ) throws -> [Int32] {
    var served: [Int32] = []
    try store.withExperts(layer: layer, experts: experts) { index, expert in
      served.append(experts[index])
      meanwhile()
      for slice in 0..<expert.sliceCount {
        let isRight = isEqual(
          try expert.slice(slice), index: slice, of: expert.sliceCount, layer: layer,
          expert: Int(experts[index]))
        #expect(isRight, "layer \(layer), expert \(experts[index]), slice \(slice)")
      }
    }
    #expect(served == experts)
    return served
  }
}
