import Foundation
import TestSupport
import Testing

@Suite("Changed types on the command line")
struct RequantizeCommandTests {
  private static let matrix = Fixtures.path("pack/plain.imatrix.gguf")
  private static let plain = Fixtures.path("pack/plain.gguf")

  @Test("convert, verify against the original, export")
  func wholeWay() throws {
    let directory = try TemporaryDirectory()
    let pack = directory.file("plain.moepack")
    let convert = try Binary.moepack.run([
      "convert", Self.plain, "-o", pack, "--type", "ffn_*_exps=mxfp4", "--type", "token_embd=q8_0",
      "--imatrix", Self.matrix,
    ])
    #expect(convert.status == 0)
    #expect(convert.output.contains("packed 1 layers of experts, 4 tensors requantised, "))
    #expect(
      convert.errors
        == "moepack: warning: \(Self.matrix) has nothing on 1 of 4 tensors, whose columns then count the same "
        + "(token_embd.weight, ...)\n")
    let verify = ["verify", pack, "--against", Self.plain]
    let without = try Binary.moepack.run(verify)
    #expect(without.status == 0)
    #expect(
      without.output.contains(
        "types were changed (ffn_*_exps=MXFP4, token_embd=Q8_0); other tensors are those of \(Self.plain); 4 that "
          + "changed are not compared, give --imatrix plain.imatrix.gguf for them"))
    let with = try Binary.moepack.run(verify + ["--imatrix", Self.matrix])
    #expect(with.status == 0)
    #expect(with.output.contains("content is that of \(Self.plain), requantised"))
    let copy = directory.file("copy.gguf")
    let export = try Binary.moepack.run(["export", pack, "-o", copy])
    #expect(export.output == "\(copy): the source of \(pack), requantised from plain.gguf\n")
    let exported = try Binary.moepack.run(["verify", pack, "--against", copy])
    #expect(exported.status == 0 && exported.output.contains("content is that of \(copy)"))
    let other = try Binary.moepack.run([
      "verify", pack, "--against", Fixtures.path("pack/source.gguf"),
    ])
    #expect(
      other.status == 1
        && other.output.contains("has 118208 bytes, the pack was made from plain.gguf of 102752"),
      "\(other.output)\(other.errors)")
  }

  @Test("what was quantised before is changed with a warning")
  func secondTime() throws {
    let directory = try TemporaryDirectory()
    let outcome = try Binary.moepack.run([
      "convert", Fixtures.checkpoint, "-o", directory.file("model.moepack"), "--type",
      "blk.0.ffn_down_exps.weight=q4_0", "--type", "attn_output=q8_0", "--type", "ssm_out=q5_K",
    ])
    #expect(outcome.status == 0)
    let lines = outcome.errors.split(separator: "\n")
    #expect(lines.count == 2 && lines[0].hasPrefix("moepack: recipe tiny-qwen35moe"))
    #expect(
      lines[1]
        == "moepack: warning: quantised a second time, and what the first time lost stays lost: 1 x IQ4_XS "
        + "(blk.0.ffn_down_exps.weight)")
  }

  @Test(
    "wrong options are usage errors that say what is right",
    arguments: [
      (
        ["--type", "ffn_dwn_exps=iq4_nl"],
        "its matrices are token_embd, ffn_gate_exps, ffn_up_exps,"
      ),
      (["--type", "token_embd=q9_0"], "--type takes NAME=TYPE with one of the types Q8_0, Q6_K"),
      (["--type", "token_embd=iq2_xs"], "--type takes NAME=TYPE with one of the types Q8_0, Q6_K"),
      (["--type", "token_embd=f16"], "--type takes NAME=TYPE"),
      (["--imatrix", "m.gguf"], "give --type or --recipe as well"),
      (["--type", "token_embd=q8_0", "--in-place"], "give one of them"),
    ])
  func usage(options: [String], message: String) throws {
    let directory = try TemporaryDirectory()
    let pack = directory.file("plain.moepack")
    let outcome = try Binary.moepack.run(["convert", Self.plain, "-o", pack] + options)
    #expect(outcome.status == 64 && outcome.errors.contains(message), "\(outcome.errors)")
    #expect(!FileManager.default.fileExists(atPath: pack))
  }

  @Test("a recipe's types hold where it is named, after those that are typed")
  func recipe() throws {
    let directory = try TemporaryDirectory()
    let recipe = directory.file("small.yaml")
    try Data("types:\n  ffn_down_exps: IQ4_NL\n  token_embd: Q8_0\n  no_such: Q4_0\n".utf8)
      .write(to: URL(filePath: recipe))
    let pack = directory.file("plain.moepack")
    let outcome = try Binary.moepack.run([
      "convert", Self.plain, "-o", pack, "--recipe", recipe, "--type", "token_embd=mxfp4",
    ])
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
    let verify = try Binary.moepack.run(["verify", pack, "--against", Self.plain])
    #expect(
      verify.output.contains(
        "types were changed (token_embd=MXFP4, ffn_down_exps=IQ4_NL, token_embd=Q8_0, no_such=Q4_0); content is "
          + "that of \(Self.plain), requantised"), "\(verify.output)")
    let refused = try Binary.moepack.run([
      "convert", Self.plain, "-o", directory.file("b.moepack"), "--recipe", recipe, "--in-place",
    ])
    #expect(
      refused.status == 64 && refused.errors.contains("change 2 of them"), "\(refused.errors)")
  }

  @Test("rows that blocks do not divide are refused before anything is written")
  func unsuitableRows() throws {
    let directory = try TemporaryDirectory()
    let pack = directory.file("plain.moepack")
    let outcome = try Binary.moepack.run([
      "convert", Self.plain, "-o", pack, "--type", "ffn_down_exps=q4_K",
    ])
    #expect(outcome.status == 2)
    #expect(
      outcome.errors
        == "moepack: \(Self.plain): tensor 'blk.0.ffn_down_exps.weight': expected rows in blocks of 256 weights for "
        + "Q4_K, found rows of 128; give it a type of blocks of 32, or leave it as it is (rule ffn_down_exps=Q4_K)\n"
    )
    #expect(!FileManager.default.fileExists(atPath: pack))
  }
}
