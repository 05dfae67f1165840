import ExpertPack
import FileIO
import Foundation
import GGUF
import Packer
import Quantizers
import Recipes
import TestSupport
import Tensors
import Testing

@Suite("Requantisation")
struct RequantizationTests {
  private static let rules = [
    TypeRule(pattern: "ffn_down_exps", type: .iq4_XS),
    TypeRule(pattern: "ffn_*_exps", type: .iq3_XXS),
    TypeRule(pattern: "token_embd.weight", type: .q6_K),
    TypeRule(pattern: "attn_*", type: .q8_0),
  ]

  /// A model whose weights are numbers of the size of weights, in every type that is changed silently.
  private static func write(to path: String, damage: Float? = nil) throws {
    let tensors: [(String, TensorType, [UInt64])] = [
      ("token_embd.weight", .bf16, [256, 6000]), ("blk.0.attn_q.weight", .f32, [256, 31]),
      ("blk.0.attn_norm.weight", .f32, [256]), ("blk.0.ffn_gate_exps.weight", .f16, [256, 256, 5]),
      ("blk.0.ffn_up_exps.weight", .q8_0, [256, 256, 5]),
      ("blk.0.ffn_down_exps.weight", .bf16, [256, 256, 5]),
      ("blk.0.ffn_gate_inp.weight", .f32, [256, 5]),
      ("output_norm.weight", .f32, [256]),
    ]
    var metadata = GGUFMetadata()
    metadata.set(.string(GGUFString("synthetic")), for: "general.architecture")
    metadata.set(.uint32(32), for: "general.file_type")
    var writer = GGUFWriter(metadata: metadata)
    for (name, type, dimensions) in tensors { writer.add(name, type: type, dimensions: dimensions) }
    try writer.write(to: try File.creating(path)) { tensor, emit in
      var random = RandomBytes(seed: tensor.byteCount)
      var values = (0..<Int(tensor.elementCount)).map { _ in
        Float(random.next() >> 40) / 16_777_216 - 0.5 + Float(random.next() >> 40) / 16_777_216
          - 0.5
      }
      if let damage, tensor.name.contains("down_exps") { values[2 * 65536 + 7 * 256 + 9] = damage }
      var bytes = [UInt8](repeating: 0, count: Int(tensor.byteCount))
      try bytes.withUnsafeMutableBytes { target in
        if tensor.type == .q8_0 {
          return try values.withUnsafeBufferPointer {
            try Quantizer(.q8_0)?.encode($0, columns: 256, weights: nil, into: target)
          }
        }
        for (index, value) in values.enumerated() {
          switch tensor.type {
          case .f32: target.storeBytes(of: value, toByteOffset: 4 * index, as: Float.self)
          case .f16:
            target.storeBytes(of: Float16(value), toByteOffset: 2 * index, as: Float16.self)
          default:
            target.storeBytes(
              of: UInt16(truncatingIfNeeded: value.bitPattern >> 16), toByteOffset: 2 * index,
              as: UInt16.self)
          }
        }
      }
      try emit(bytes.span.bytes)
    }
  }

  /// Sums for the expert matrices; expert 3 was never met.
  private static func writeImportance(to path: String, seed: UInt64 = 3) throws {
    var metadata = GGUFMetadata()
    metadata.set(.string(GGUFString("imatrix")), for: "general.type")
    var writer = GGUFWriter(metadata: metadata)
    for name in ["gate", "up", "down"] {
      writer.add("blk.0.ffn_\(name)_exps.weight.in_sum2", type: .f32, dimensions: [256, 5])
      writer.add("blk.0.ffn_\(name)_exps.weight.counts", type: .f32, dimensions: [1, 5])
    }
    var random = RandomBytes(seed: seed)
    try writer.write(to: try File.creating(path)) { tensor, emit in
      let isCount = tensor.name.hasSuffix("counts")
      let values = (0..<Int(tensor.elementCount)).map { index -> Float in
        isCount ? (index == 3 ? 0 : 10) : Float(random.next() >> 52) * Float(random.next() >> 60)
      }
      let bytes = values.flatMap { value in withUnsafeBytes(of: value) { Array($0) } }
      try emit(bytes.span.bytes)
    }
  }

  private struct Sample {
    let directory: TemporaryDirectory
    var source: String { directory.file("model.gguf") }
    var matrix: String { directory.file("matrix.gguf") }
    var pack: String { directory.file("model.moepack") }

    init() throws {
      directory = try TemporaryDirectory()
      try RequantizationTests.write(to: source)
      try RequantizationTests.writeImportance(to: matrix)
    }

    func convert(
      to pack: String, rules: [TypeRule] = RequantizationTests.rules, threads: Int = 3,
      isWeighted: Bool = true
    ) throws {
      let plan = try RequantizationPlan(
        source: try GGUFFile.open(source), rules: rules,
        importance: isWeighted ? try ImportanceMatrix(contentsOf: matrix) : nil)
      try PackWriter(requantization: try Requantization(plan, threads: threads), threads: threads)
        .write(to: pack, overwrite: false) { _ in }
    }

    func findings(_ original: String, matrix: String? = nil) throws -> (
      places: [PackFinding], skipped: Int
    ) {
      let opened = try PackDirectory.open(pack)
      let comparison = try SourceComparison(
        pack: opened, change: try #require(opened.manifest.requantized),
        original: try GGUFFile.open(original),
        importance: try matrix.map { try ImportanceMatrix(contentsOf: $0) }, threads: 2)
      return (try comparison.findings { _ in }, comparison.skippedTensors)
    }
  }

  @Test("the pack holds what encoding every expert alone gives, and export writes it as a GGUF")
  func content() throws {
    let sample = try Sample()
    try sample.convert(to: sample.pack)
    #expect(try PackVerifier(directory: sample.pack, threads: 2).verify { _ in }.findings == [])
    let exported = sample.directory.file("export.gguf")
    try PackExporter(pack: try PackDirectory.open(sample.pack), threads: 2).export(
      to: exported, overwrite: false
    ) { _ in }
    let (before, after) = (try GGUFFile.open(sample.source), try GGUFFile.open(exported))
    #expect(
      after.tensors.map(\.type) == [.q6_K, .q8_0, .f32, .iq3_XXS, .iq3_XXS, .iq4_XS, .f32, .f32])
    #expect(after.metadata["general.file_type"] == nil)
    let matrix = try ImportanceMatrix(contentsOf: sample.matrix)
    let (old, new) = (try File.reading(sample.source), try File.reading(exported))
    for (tensor, changed) in zip(before.tensors, after.tensors) {
      let found = try new.bytes(at: changed.offset, count: Int(changed.byteCount))
      let bytes = try old.bytes(at: tensor.offset, count: Int(tensor.byteCount))
      guard tensor.type != changed.type else {
        #expect(found == bytes, "\(tensor.name)")
        continue
      }
      let quantizer = try #require(Quantizer(changed.type))
      let experts = tensor.dimensions.count > 2 ? 5 : 1
      let (part, target) = (bytes.count / experts, found.count / experts)
      for expert in 0..<experts {
        let values = Rows.decode(Array(bytes[expert * part..<(expert + 1) * part]), tensor.type)
        var blocks = [UInt8](repeating: 0, count: target)
        let weights = try matrix.weights(of: tensor, expert: expert)
        #expect((weights == nil) == (experts == 1 || expert == 3))
        try values.withUnsafeBufferPointer { values in
          try blocks.withUnsafeMutableBytes {
            try quantizer.encode(values, columns: 256, weights: weights, into: $0)
          }
        }
        #expect(
          blocks == Array(found[expert * target..<(expert + 1) * target]),
          "\(tensor.name) \(expert)")
      }
    }
  }

  @Test("any number of threads gives the same pack")
  func threads() throws {
    let sample = try Sample()
    let packs = [1, 7].map { sample.directory.file("\($0).moepack") }
    for (pack, threads) in zip(packs, [1, 7]) { try sample.convert(to: pack, threads: threads) }
    for file in try FileBytes.files(below: packs[0]) {
      #expect(try FileBytes.read("\(packs[0])/\(file)") == FileBytes.read("\(packs[1])/\(file)"))
    }
  }

  @Test("the manifest says from what and by which rules, and an export keeps saying it")
  func provenance() throws {
    let sample = try Sample()
    try sample.convert(to: sample.pack)
    let manifest = try PackDirectory.open(sample.pack).manifest
    let change = try #require(manifest.requantized)
    func digest(_ path: String) throws -> String {
      try FileBytes.read(path).withUnsafeBytes { XXH3.hash128($0).description }
    }
    #expect(manifest.version == 2)
    #expect(change.sources.map(\.name) == ["model.gguf"])
    #expect(change.sources[0].xxh3_128 == (try digest(sample.source)))
    #expect(change.importance_matrix?.xxh3_128 == (try digest(sample.matrix)))
    #expect(
      change.rules == [
        "ffn_down_exps=IQ4_XS", "ffn_*_exps=IQ3_XXS", "token_embd.weight=Q6_K", "attn_*=Q8_0",
      ])
    let exported = sample.directory.file("export.gguf")
    try PackExporter(pack: try PackDirectory.open(sample.pack), threads: 2).export(
      to: exported, overwrite: false
    ) { _ in }
    let again = sample.directory.file("again.moepack")
    try convert(exported, to: again)
    #expect(try PackDirectory.open(again).manifest.requantized == change)
    // A change of a changed model speaks of the model that it was made from, once.
    let plan = try RequantizationPlan(
      source: try GGUFFile.open(exported), rules: [TypeRule(pattern: "attn_q", type: .q4_0)],
      importance: nil)
    let twice = try #require(
      TypeChange(try Requantization(plan, threads: 1).result.metadata))
    #expect(twice.sources.map(\.name) == ["export.gguf"] && twice.rules == ["attn_q=Q4_0"])
    #expect(twice.importance_matrix == nil)
  }

  @Test(
    "the original compares equal, requantised again; without the matrix all that did not change")
  func comparison() throws {
    let sample = try Sample()
    try sample.convert(to: sample.pack)
    let whole = try sample.findings(sample.source, matrix: sample.matrix)
    #expect(whole.places == [] && whole.skipped == 0)
    let unchanged = try sample.findings(sample.source)
    #expect(unchanged.places == [] && unchanged.skipped == 5)
    let other = sample.directory.file("other.gguf")
    try Self.write(to: other, damage: 0.25)
    let places = try sample.findings(other, matrix: sample.matrix).places
    #expect(places.map(\.expert) == [2] && places.map(\.layer) == [0])
    #expect(places.first?.detail.contains("blk.0.ffn_down_exps.weight differs") == true)
    #expect(try sample.findings(other).places == [])
    let strange = sample.directory.file("strange.gguf")
    try Self.writeImportance(to: strange, seed: 4)
    let error = #expect(throws: RequantizationError.self) {
      try sample.findings(sample.source, matrix: strange)
    }
    #expect(error?.message.contains("another importance matrix: matrix.gguf") == true)
    // Without a matrix all is made again.
    let plain = sample.directory.file("plain.moepack")
    try sample.convert(to: plain, isWeighted: false)
    let opened = try PackDirectory.open(plain)
    let comparison = try SourceComparison(
      pack: opened, change: try #require(opened.manifest.requantized),
      original: try GGUFFile.open(sample.source), importance: nil, threads: 2)
    #expect(comparison.skippedTensors == 0)
    #expect(try comparison.findings { _ in } == [])
  }

  @Test("a weight that is no number ends the conversion with its place and leaves no pack")
  func unencodable() throws {
    let sample = try Sample()
    try Self.write(to: sample.source, damage: .nan)
    let error = #expect(throws: RequantizationError.self) { try sample.convert(to: sample.pack) }
    #expect(
      error?.message.hasPrefix(
        "\(sample.source): tensor 'blk.0.ffn_down_exps.weight': expert 2, row 7, column 9: expected a "
          + "weight of magnitude 65504.0 at most for IQ4_XS, found nan") == true,
      "\(error?.message ?? "")")
    #expect(throws: PackError.self) { try PackDirectory.open(sample.pack) }
  }

  @Test(
    "rules that cannot be followed are refused",
    arguments: [
      ("ffn_gate_inp", "IQ2_S", "cannot become IQ2_S; expected one of Q8_0, Q6_K"),
      ("odd", "Q4_0", "expected rows in blocks of 32 weights for Q4_0, found rows of 40"),
      ("half", "Q4_K", "expected rows in blocks of 256 weights for Q4_K, found rows of 64"),
      ("whole", "Q8_0", "is I32, which holds no weights"),
    ])
  func refusals(pattern: String, type: String, message: String) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("model.gguf")
    var model = SyntheticModel()
    model.extra = [
      ("odd.weight", .f32, [40, 2]), ("half.weight", .f32, [64, 2]),
      ("whole.weight", .i32, [64, 2]),
    ]
    try model.write(to: path)
    let rule = try #require(TypeRule("\(pattern)=\(type.lowercased())"))
    let error = #expect(throws: RequantizationError.self) {
      try RequantizationPlan(source: try GGUFFile.open(path), rules: [rule], importance: nil)
    }
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
    #expect(error?.message.hasSuffix("(rule \(pattern)=\(type))") == true)
  }

  @Test("vectors and tensors of the type keep their bytes; rules without a matrix are told")
  func plan() throws {
    let sample = try Sample()
    let rules = ["*_norm=q8_0", "ffn_up_exps=q8_0", "attn_q=q4_K", "nothing=q8_0"].compactMap {
      TypeRule($0)
    }
    let plan = try RequantizationPlan(
      source: try GGUFFile.open(sample.source), rules: rules, importance: nil)
    #expect(plan.changes.map(\.tensor) == ["blk.0.attn_q.weight"])
    #expect(plan.unmatched == [rules[0], rules[3]])
    #expect(plan.changes[0].isRepeated == false && plan.changes[0].isWeighted == false)
  }

  @Test("patterns are names without block and .weight, or with a dot whole names, with stars")
  func patterns() {
    func matches(_ pattern: String, _ name: String) -> Bool {
      TypeRule(pattern: pattern, type: .q8_0).matches(name)
    }
    #expect(matches("ffn_down_exps", "blk.17.ffn_down_exps.weight"))
    #expect(!matches("ffn_down_exps", "blk.17.ffn_down_exps.bias"))
    #expect(!matches("down", "blk.17.ffn_down_exps.weight"))
    #expect(matches("token_embd", "token_embd.weight") && !matches("token", "token_embd.weight"))
    #expect(
      matches("blk.3.*", "blk.3.ffn_up.weight") && !matches("blk.3.*", "blk.33.ffn_up.weight"))
    #expect(matches("ffn_*_exps", "blk.0.ffn_gate_up_exps.weight"))
    #expect(matches("*", "output.weight") && matches("***a*", "blk.0.bab.weight"))
    for text in ["", "=q8_0", "a=", "a=q9_0", "a=q8_0=q8_0", "a"] { #expect(TypeRule(text) == nil) }
    #expect(TypeRule("a=iq4_xs")?.text == "a=IQ4_XS")
  }

  @Test("metadata that only looks like a change is no change")
  func forgedMetadata() throws {
    func change(_ edit: (inout GGUFMetadata) -> Void) -> TypeChange? {
      var metadata = GGUFMetadata()
      TypeChange(
        sources: [.init(name: "a.gguf", bytes: 5, xxh3_128: "00")], rules: ["a=Q8_0"],
        importanceMatrix: .init(name: "m.gguf", bytes: 6, xxh3_128: "11")
      ).write(to: &metadata)
      edit(&metadata)
      return TypeChange(metadata)
    }
    let prefix = "moepack.requantized."
    #expect(change { _ in }?.importance_matrix?.bytes == 6)
    #expect(change { $0.remove(prefix + "rules") } == nil)
    #expect(change { $0.set(.uint32(1), for: prefix + "source.names") } == nil)
    #expect(change { $0.set(.array(GGUFArray(int32: [-1])), for: prefix + "source.bytes") } == nil)
    #expect(
      change { $0.set(.array(GGUFArray(int32: [1, 2])), for: prefix + "source.bytes") } == nil)
    #expect(change { $0.remove(prefix + "importance_matrix.xxh3_128") } == nil)
    #expect(change { $0.remove(prefix + "importance_matrix.name") }?.importance_matrix == nil)
  }
}

/// Decoding for expectations.
private enum Rows {
  static func decode(_ bytes: [UInt8], _ type: TensorType) -> [Float] {
    bytes.withUnsafeBytes { bytes in
      switch type {
      case .f32:
        (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
      case .f16:
        (0..<bytes.count / 2).map {
          Float(bytes.loadUnaligned(fromByteOffset: 2 * $0, as: Float16.self))
        }
      case .bf16:
        (0..<bytes.count / 2).map {
          let half = bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)
          return Float(bitPattern: UInt32(half) << 16)
        }
      default:
        (0..<bytes.count / 34).flatMap { block -> [Float] in
          let scale = Float(bytes.loadUnaligned(fromByteOffset: 34 * block, as: Float16.self))
          return (0..<32).map { Float(Int8(bitPattern: bytes[34 * block + 2 + $0])) * scale }
        }
      }
    }
  }
}
