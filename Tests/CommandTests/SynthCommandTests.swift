import Foundation
import TestSupport
import Testing

@Suite("moepack synth on the command line")
struct SynthCommandTests {
  @Test("a synthetic pack runs: logits are finite and depend on the tokens")
  func runs() throws {
    let directory = try TemporaryDirectory()
    let recipe = directory.file("small.yaml")
    try SmallRecipe.write(to: recipe)
    let pack = directory.file("small.moepack")
    let synth = try Binary.moepack.run(["synth", recipe, "-o", pack, "--seed", "3"])
    #expect(synth.status == 0 && synth.errors.isEmpty, "\(synth.errors)")
    #expect(synth.output.hasPrefix("\(pack): 4 layers, 600 tokens, "), "\(synth.output)")

    let tokens = directory.file("ids.json")
    try Data("[40, 41, 42, 43, 300, 40]".utf8).write(to: URL(filePath: tokens))
    let out = directory.file("logits.f32")
    let logits = try Binary.moerun.run(["logits", pack, "--tokens", tokens, "-o", out])
    #expect(logits.status == 0, "\(logits.errors)")
    let bytes = try FileBytes.read(out)
    try #require(bytes.count == 6 * 600 * 4)
    let rows = (0..<6).map { row in
      (0..<600).map { column in
        bytes.withUnsafeBytes {
          $0.loadUnaligned(fromByteOffset: (row * 600 + column) * 4, as: Float.self)
        }
      }
    }
    for (index, row) in rows.enumerated() {
      #expect(row.allSatisfy { $0.isFinite })
      // Outputs of unit variance through a head that keeps it.
      let variance = row.reduce(0) { $0 + $1 * $1 } / Float(row.count)
      #expect((0.3...3).contains(variance), "\(variance)")
      for other in rows[..<index] { #expect(row != other) }
    }
    let generate = try Binary.moerun.run([
      "generate", pack, "-p", "A test", "-n", "4", "--temperature", "1", "--seed", "1",
    ])
    #expect(generate.status == 0, "\(generate.errors)")
  }

  @Test("--layers, --vocab, --tokenizer and --overwrite do what they say")
  func options() throws {
    let directory = try TemporaryDirectory()
    let recipe = directory.file("small.yaml")
    try SmallRecipe.write(to: recipe, ["tokenizer": "nowhere.gguf"])
    let path = directory.file("a.gguf")
    let missing = try Binary.moepack.run(["synth", recipe, "-o", path])
    #expect(missing.status == 2 && missing.errors.contains("nowhere.gguf"), "\(missing.errors)")
    let arguments = [
      "synth", recipe, "-o", path, "--layers", "1", "--vocab", "300", "--threads", "1",
      "--tokenizer", Fixtures.checkpoint,
    ]
    let first = try Binary.moepack.run(arguments)
    #expect(first.status == 0 && first.output.contains("1 layers, 300 tokens"), "\(first.errors)")
    let second = try Binary.moepack.run(arguments)
    #expect(second.status == 2 && second.errors.contains("--overwrite"))
    #expect(try Binary.moepack.run(arguments + ["--overwrite"]).status == 0)

    // The tokenizer of a pack does as well as a GGUF's.
    let pack = directory.file("p.moepack")
    #expect(try Binary.moepack.run(["convert", path, "-o", pack]).status == 0)
    let again = directory.file("b.gguf")
    let third = try Binary.moepack.run([
      "synth", recipe, "-o", again, "--layers", "1", "--vocab", "300", "--tokenizer", pack,
    ])
    #expect(third.status == 0, "\(third.errors)")
    #expect(try FileBytes.read(path) == FileBytes.read(again))
  }

  @Test(
    "wrong usage is status 64",
    arguments: [
      ["-o", "model.bin"], ["-o", "a.gguf", "--layers", "0"], ["-o", "a.gguf", "--layers", "1025"],
      ["-o", "a.gguf", "--vocab", "0"], ["-o", "a.gguf", "--seed", "-1"],
      ["-o", "a.gguf", "--threads", "0"], ["-o", "a.gguf/"], [],
    ])
  func usage(_ options: [String]) throws {
    let outcome = try Binary.moepack.run(["synth", "recipe.yaml"] + options)
    #expect(outcome.status == 64 && outcome.output.isEmpty, "\(outcome.errors)")
  }

  @Test("a wrong recipe is status 2 with its line")
  func wrongRecipe() throws {
    let directory = try TemporaryDirectory()
    let recipe = directory.file("bad.yaml")
    try SmallRecipe.write(to: recipe, ["expert_count": "many"])
    let outcome = try Binary.moepack.run(["synth", recipe, "-o", directory.file("a.gguf")])
    let line = try #require(SmallRecipe.line(of: "expert_count"))
    #expect(outcome.status == 2)
    #expect(
      outcome.errors == """
        moepack: \(recipe):\(line): shape.expert_count: expected a whole number from 1 to 65536, \
        found 'many'

        """)
  }
}
