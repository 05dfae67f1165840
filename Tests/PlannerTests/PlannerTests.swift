import ExpertPack
import Foundation
import GGUF
import ModelGraph
import Packer
import Planner
import Recipes
import TestSupport
import Testing

@Suite("Planner")
struct PlannerTests {
  private func need(_ source: GGUFFile, context: Int = 512) throws -> MemoryNeed {
    try MemoryNeed(
      source: source, plan: try PackPlan(source: source), contextLength: context, threads: 2)
  }

  @Test("the smallest memory is the runtime's own, to the byte, and so are the experts that fit")
  func memoryIsTheRuntimes() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("p.moepack")
    let source = try GGUFFile.open(Fixtures.checkpoint)
    try PackWriter(source: source, kind: .packed, threads: 2).write(to: path, overwrite: false) {
      _ in
    }
    let need = try need(source)
    #expect(need.basis == .moerun && need.expertCount == 192 && need.usedCount == 4)
    let pack = try PackDirectory.open(path)
    let config = try ModelConfig(pack: pack)
    func plan(_ budget: Int) throws -> MemoryPlan {
      var options = ModelOptions(threads: 2)
      options.contextLength = 512
      options.memoryBudget = budget
      return try MemoryPlan(pack: pack, config: config, options: options)
    }
    #expect(throws: ModelGraphError.self) { try plan(need.minimumBytes - 1) }
    #expect(try plan(need.minimumBytes).slotCount == 4)
    for more in [0, 1 << 20, 9 << 20, 1 << 30] {
      let fit = need.fit(budget: UInt64(need.minimumBytes + more))
      let expected = try plan(need.minimumBytes + more)
      #expect(fit.runs && fit.slots == expected.slotCount && fit.batch == expected.batch)
    }
    #expect(!need.fit(budget: UInt64(need.minimumBytes - 1)).runs)
    #expect(!need.fit(budget: 0).runs)
    #expect(need.fit(budget: .max).slots == 192)
  }

  /// Bytes of keys and values a position, in half precision.
  static let caches: [(String, Int)] = [
    // 48 layers of 4 heads of 128, keys and values.
    ("qwen3-30b-a3b", 48 * 4 * 128 * 2 * 2),
    // 12 of 48 layers attend, 2 heads of 256.
    ("qwen3-next-80b-a3b", 12 * 2 * 256 * 2 * 2),
    // Latent attention: 512 + 64 a layer.
    ("deepseek-v3", 61 * 576 * 2),
    // Without the layer that predicts further tokens.
    ("glm-4.5-air", 46 * 8 * 128 * 2 * 2),
    // Head length from the hidden size.
    ("mixtral-8x7b", 32 * 8 * 128 * 2 * 2), ("gpt-oss-20b", 24 * 8 * 64 * 2 * 2),
  ]

  @Test("keys and values of other architectures are estimated from the metadata", arguments: caches)
  func estimates(_ name: String, _ bytes: Int) throws {
    let shape = try Recipe.read(ShippedRecipes.path(name)).requiredShape()
    let need = try need(try shape.source(path: name), context: 1000)
    #expect(need.basis == .estimate && need.cacheBytes == bytes * 1000)
    #expect(need.usedCount == shape.expertUsedCount)
    #expect(need.minimumBytes == need.fixedBytes + need.usedCount * need.slotBytes)
    #expect(need.fit(budget: UInt64(need.minimumBytes)).slots == need.usedCount)
    #expect(!need.fit(budget: UInt64(need.minimumBytes - 1)).runs)
  }

  @Test("hostile metadata give an estimate, not a trap")
  func hostile() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("m.gguf")
    try SyntheticModel().write(to: path)
    let file = try GGUFFile.open(path)
    for value in [GGUFValue.uint64(.max), .uint32(0), .string("x"), .int32(-1)] {
      var metadata = GGUFMetadata()
      for key in [
        "context_length", "attention.head_count", "attention.head_count_kv",
        "attention.key_length", "attention.value_length", "embedding_length", "block_count",
        "nextn_predict_layers", "full_attention_interval", "attention.kv_lora_rank",
        "rope.dimension_count",
      ] { metadata.set(value, for: "synthetic.\(key)") }
      let estimate = KeyValueEstimate(metadata, architecture: "synthetic")
      #expect(estimate.bytesPerPosition >= 0)
    }
    #expect(try need(file, context: 1 << 24).minimumBytes > 0)
  }

  @Test("the band holds what was measured: 397B shape, 4 layers, 3 and 6 GiB, disk of 2.17 GB/s")
  func measuredSpeeds() {
    // recipes/results/stream.md: 2048 experts of 5,439,488 bytes, 40 used a token, random weights; a
    // token passes through 0.5 GB of resident weights; two cores read memory at about 20 GB/s.
    for (slots, measured) in [(450, 10.46), (1042, 13.58)] {
      let band = SpeedBand(
        expertBytes: 40 * 5_439_488, residentBytes: 500_000_000, slots: slots, expertCount: 2048,
        recorded: nil, disk: 2.17e9, memory: 20e9)
      #expect(band.tokensPerSecond.contains(measured), "\(band)")
      #expect(band.tokensPerSecond.upperBound < 5 * band.tokensPerSecond.lowerBound)
    }
  }

  @Test("hit rates lie on the line through the recorded ones, and all held hits all")
  func hitRates() {
    let points = [(share: 0.1, rate: 0.5), (share: 0.5, rate: 0.9)]
    #expect(SpeedBand.rate(at: 0, of: points) == 0)
    #expect(abs(SpeedBand.rate(at: 0.05, of: points) - 0.25) < 1e-12)
    #expect(abs(SpeedBand.rate(at: 0.3, of: points) - 0.7) < 1e-12)
    #expect(abs(SpeedBand.rate(at: 0.75, of: points) - 0.95) < 1e-12)
    #expect(SpeedBand.rate(at: 1, of: points) == 1)
    let all = SpeedBand(
      expertBytes: 1_000_000, residentBytes: 0, slots: 10, expertCount: 10, recorded: nil,
      disk: 1e9, memory: 1e10)
    #expect(all.diskBytesPerToken.most == 0 && all.hitRates == 1...1)
    #expect(all.tokensPerSecond == 5000...10000)
    let none = SpeedBand(
      expertBytes: 0, residentBytes: 0, slots: -1, expertCount: 0, recorded: nil, disk: 0, memory: 0
    )
    #expect(none.tokensPerSecond.lowerBound.isFinite && none.tokensPerSecond.upperBound.isFinite)
  }

  @Test("a disk is measured where a file is long enough, and room is that of the nearest directory")
  func machine() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("large.bin")
    try Data(count: 8 << 20).write(to: URL(filePath: path))
    let speed = MachineSpeed.measure(paths: [path], recordBytes: 1 << 20, threads: 2)
    #expect((speed.diskBytesPerSecond ?? 0) > 1e6 && speed.probedPath == path)
    #expect(speed.memoryBytesPerSecond > 1e8)
    let small = directory.file("small.bin")
    try Data(count: 1 << 20).write(to: URL(filePath: small))
    let short = MachineSpeed.measure(paths: [small], recordBytes: 2 << 20, threads: 1)
    #expect(short.diskBytesPerSecond == nil && short.probedPath == nil)
    #expect(MachineSpeed.measure(paths: ["/none"], recordBytes: 1, threads: 1).probedPath == nil)
    let free = try #require(DiskRoom.freeBytes(at: directory.path))
    let below = try #require(DiskRoom.freeBytes(at: directory.path + "/a/b/c.moepack"))
    #expect(abs(Double(free) - Double(below)) < 2e9)
    #expect(DiskRoom.freeBytes(at: "relative.moepack") != nil)
  }
}
