import Foundation
import TestSupport
import Testing

/// One way to harm a file.
enum Harm: Sendable, CustomStringConvertible {
  case flip(share: Double)
  case cut(share: Double)
  case cutLastByte
  case extend
  case delete

  static let all: [Harm] = [
    .flip(share: 0), .flip(share: 0.25), .flip(share: 0.5), .flip(share: 1), .cut(share: 0),
    .cut(share: 0.5), .cutLastByte, .extend, .delete,
  ]

  var description: String {
    switch self {
    case .flip(let share): "bit flipped at \(share)"
    case .cut(let share): "cut at \(share)"
    case .cutLastByte: "last byte cut"
    case .extend: "one byte more"
    case .delete: "deleted"
    }
  }

  /// Does it to the file at `path`.
  func apply(to path: String) throws {
    let size = try FileBytes.size(path)
    switch self {
    case .flip(let share):
      try FileBytes.flipBit(path, offset: min(size - 1, Int(Double(size) * share)), bit: 2)
    case .cut(let share): truncate(path, off_t(Double(size) * share))
    case .cutLastByte: truncate(path, off_t(size - 1))
    case .extend: truncate(path, off_t(size + 1))
    case .delete: try FileManager.default.removeItem(atPath: path)
    }
  }
}

@Suite("A damaged pack")
struct MoerunDamageTests {
  @Test("is found by verify, and moerun stops with the place before a wrong token")
  func everyFile() throws {
    let shared = try SharedPack.shared.get()
    let directory = try TemporaryDirectory()
    let pack = directory.file("damaged.moepack")
    try FileManager.default.copyItem(atPath: shared.pack, toPath: pack)
    // Long enough that every expert of every layer is used, the last one's by what wants the logits of
    // all tokens: then damage anywhere must be met.
    let text = String(
      decoding: try FileBytes.read(Fixtures.path("golden/tiny-qwen35moe-seedmix/ppl.txt"))
        .prefix(2500), as: UTF8.self)
    let file = directory.file("text")
    try Data(text.utf8).write(to: URL(filePath: file))
    let perplexity = ["perplexity", pack, "-f", file, "--context", "128"]
    #expect(try Binary.moerun.run(perplexity).status == 0)
    let arguments = ["generate", pack, "-p", text, "-n", "8"]
    let intact = try Binary.moerun.run(arguments)
    #expect(intact.status == 0, "\(intact.errors)")

    let files = try FileBytes.files(below: pack)
    #expect(files.count == 12)
    for name in files {
      for harm in Harm.all {
        try harm.apply(to: pack + "/" + name)
        let verify = try Binary.moepack.run(["verify", pack])
        #expect(verify.status == 1, "\(name), \(harm): \(verify.output)\(verify.errors)")
        #expect(verify.output.contains(name), "\(name), \(harm): \(verify.output)")
        for command in [perplexity, arguments] {
          let run = try Binary.moerun.run(command)
          // A prompt needs the last layer's experts for its last token alone.
          if run.status == 0, command == arguments, name == "layer-007.experts" {
            #expect(run.output == intact.output, "\(harm): \(run.output)")
            continue
          }
          #expect(run.status == 2, "\(command[0]), \(name), \(harm)")
          #expect(
            run.errors.contains(name) || run.errors.contains("is not a pack"), "\(run.errors)")
          #expect(intact.output.hasPrefix(run.output), "\(name), \(harm): \(run.output)")
        }
        try? FileManager.default.removeItem(atPath: pack + "/" + name)
        try FileManager.default.copyItem(
          atPath: shared.pack + "/" + name, toPath: pack + "/" + name)
      }
    }
    #expect(try Binary.moepack.run(["verify", pack]).status == 0)
  }

  @Test("a damaged slice is named by layer, expert, slice and bytes")
  func place() throws {
    let shared = try SharedPack.shared.get()
    let directory = try TemporaryDirectory()
    let pack = directory.file("damaged.moepack")
    try FileManager.default.copyItem(atPath: shared.pack, toPath: pack)
    for expert in 0..<24 {
      // The last byte of each record is padding.
      try FileBytes.flipBit(
        pack + "/layer-003.experts", offset: (expert + 1) * 131072 - 1, bit: 0)
    }
    let run = try Binary.moerun.run(["generate", pack, "-p", "Hello", "-n", "4"])
    #expect(run.status == 2 && run.output.isEmpty)
    let pattern = #"layer-003.experts.*layer 3, expert \d+, slice 3.*bytes \d+\.\.<\d+"#
    #expect(run.errors.range(of: pattern, options: .regularExpression) != nil, "\(run.errors)")
  }

  @Test("an in-place pack whose source changed is refused before a wrong token")
  func changedSource() throws {
    let directory = try TemporaryDirectory()
    let source = directory.file("model.gguf")
    try FileManager.default.copyItem(atPath: Fixtures.checkpoint, toPath: source)
    let pack = directory.file("model.moepack")
    #expect(
      try Binary.moepack.run(["convert", source, "-o", pack, "--in-place"]).status == 0)
    let arguments = ["generate", pack, "-p", "There was", "-n", "8"]
    let intact = try Binary.moerun.run(arguments)
    #expect(intact.status == 0)
    let size = try FileBytes.size(source)
    for share in [0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95] {
      let offset = Int(Double(size) * share)
      try FileBytes.flipBit(source, offset: offset, bit: 6)
      let run = try Binary.moerun.run(arguments)
      #expect(run.status == 2 || run.output == intact.output, "byte \(offset)")
      #expect(intact.output.hasPrefix(run.output), "byte \(offset)")
      #expect(try Binary.moepack.run(["verify", pack]).status == 1, "byte \(offset)")
      try FileBytes.flipBit(source, offset: offset, bit: 6)
    }
    truncate(source, off_t(size - 1))
    let cut = try Binary.moerun.run(arguments)
    #expect(cut.status == 2 && cut.errors.contains("model.gguf"), "\(cut.errors)")
  }
}
