import Foundation
import TestSupport
import Testing

@Suite("moepack plan and inspect on the command line")
struct PlanCommandTests {
  private func object(_ arguments: [String]) throws -> [String: Any] {
    let outcome = try Binary.moepack.run(arguments)
    #expect(outcome.status == 0, "\(outcome.errors)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
  }

  @Test("plan says recipe, memory, speed and room, for people and in JSON")
  func plan() throws {
    let directory = try TemporaryDirectory()
    let arguments = [
      "plan", Fixtures.checkpoint, "--memory", "80MiB", "-o", directory.file("new/p.moepack"),
    ]
    let text = try Binary.moepack.run(arguments)
    #expect(text.status == 0 && text.errors.isEmpty, "\(text.errors)")
    for words in [
      "recipe tiny-qwen35moe: architecture qwen35moe, block_count 8", "IQ3_XXS/IQ3_XXS/IQ4_XS",
      "padding 8.44 MiB (35.2 %)", "smallest --memory", "with 80.0 MiB", "tok/s decoded", "GB/s",
      "34.9 MiB needed", "about ", "--recipe tiny-qwen35moe",
    ] { #expect(text.output.contains(words), "\(words) in \(text.output)") }

    let plan = try object(arguments + ["--json"])
    #expect((plan["recipe"] as? [String: Any])?["name"] as? String == "tiny-qwen35moe")
    let memory = try #require(plan["memory"] as? [String: Any])
    #expect(memory["basis"] as? String == "moerun" && memory["fits"] as? Bool == true)
    #expect(memory["budget_bytes"] as? Int == 80 << 20 && memory["experts"] as? Int == 192)
    let speed = try #require(plan["speed"] as? [String: Any])
    let band = try #require(speed["expected_tokens_per_second"] as? [Double])
    #expect(band.count == 2 && band[0] > 0 && band[0] <= band[1])
    #expect((speed["convert_seconds"] as? Double ?? 0) > 0)
    let disk = try #require(plan["disk"] as? [String: Any])
    // With whole blocks, headers, journal and sums that wait: what convert asks for.
    #expect(disk["needed_bytes"] as? Int ?? 0 > plan["pack_bytes"] as? Int ?? .max)
    #expect(disk["fits"] as? Bool == true)
  }

  @Test("moerun runs with the memory that plan says is the smallest, and not with less")
  func smallestMemory() throws {
    let pack = try SharedPack.shared.get().pack
    let plan = try object(["plan", Fixtures.checkpoint, "--json"])
    let memory = try #require(plan["memory"] as? [String: Any])
    let least = try #require(memory["minimum_bytes"] as? Int)
    #expect(try Binary.moerun.run(["info", pack, "--memory", "\(least)"]).status == 0)
    #expect(try Binary.moerun.run(["info", pack, "--memory", "\(least - 1)"]).status == 2)
    let small = try object(["plan", Fixtures.checkpoint, "--memory", "\(least - 1)", "--json"])
    #expect((small["memory"] as? [String: Any])?["fits"] as? Bool == false)
    #expect((small["speed"] as? [String: Any])?["expected_tokens_per_second"] == nil)
  }

  @Test(
    "plan of a recipe needs no file; a probe measures the disk", arguments: ShippedRecipes.names)
  func recipes(_ name: String) throws {
    let directory = try TemporaryDirectory()
    let large = directory.file("large.bin")
    // Longer than a record of every model; a hole takes no space.
    #expect(FileManager.default.createFile(atPath: large, contents: Data()))
    try FileHandle(forWritingTo: URL(filePath: large)).truncate(atOffset: 256 << 20)
    let plan = try object([
      "plan", ShippedRecipes.path(name), "--memory", "900GiB", "--probe", large, "--json",
    ])
    #expect((plan["recipe"] as? [String: Any])?["name"] as? String == name)
    #expect((plan["bytes_per_token"] as? Int ?? 0) > 0)
    let memory = try #require(plan["memory"] as? [String: Any])
    #expect(memory["fits"] as? Bool == true)
    #expect(memory["slots"] as? Int == memory["experts"] as? Int)
    let speed = try #require(plan["speed"] as? [String: Any])
    #expect((speed["expected_tokens_per_second"] as? [Double])?.count == 2)
  }

  @Test("--recipe shows the pack with the recipe's types; a wrong name lists the right ones")
  func named() throws {
    let directory = try TemporaryDirectory()
    let recipe = directory.file("q8.yaml")
    try Data("types: {\"*_exps\": Q8_0}\n".utf8).write(to: URL(filePath: recipe))
    let plan = try object(["plan", Fixtures.checkpoint, "--recipe", recipe, "--json"])
    let layer = try #require((plan["layers"] as? [[String: Any]])?.first)
    #expect(layer["types"] as? [String] == ["Q8_0", "Q8_0", "Q8_0"])
    let wrong = try Binary.moepack.run(["plan", Fixtures.checkpoint, "--recipe", "nothing"])
    #expect(wrong.status == 2 && wrong.errors.contains("gpt-oss-20b"), "\(wrong.errors)")
    try Data("types: {\"*_exps\": Q9_0}\n".utf8).write(to: URL(filePath: recipe))
    let bad = try Binary.moepack.run(["plan", Fixtures.checkpoint, "--recipe", recipe])
    #expect(bad.status == 2 && bad.errors.hasPrefix("moepack: \(recipe):1: types.*_exps: expected"))
    let probe = try Binary.moepack.run(["plan", "gpt-oss-20b", "--probe", recipe])
    #expect(probe.status == 64 || probe.status == 2, "\(probe.errors)")
  }

  @Test("convert says which recipe it took and why, and takes layout and types from a named one")
  func convert() throws {
    let directory = try TemporaryDirectory()
    let pack = directory.file("p.moepack")
    let matched = try Binary.moepack.run(["convert", Fixtures.checkpoint, "-o", pack])
    #expect(matched.status == 0)
    #expect(
      matched.errors.hasPrefix(
        "moepack: recipe tiny-qwen35moe (architecture qwen35moe, block_count 8, "),
      "\(matched.errors)")
    let recipe = directory.file("own.yaml")
    func write(_ text: String) throws { try Data(text.utf8).write(to: URL(filePath: recipe)) }
    try write("layout: {kind: in_place}\ntypes: {ffn_down_exps: IQ4_XS}\n")
    let inPlace = try object([
      "convert", Fixtures.checkpoint, "-o", directory.file("i.moepack"), "--recipe", recipe,
      "--json",
    ])
    #expect(inPlace["kind"] as? String == "in_place")
    try write("types: {ffn_down_exps: Q8_0}\n")
    let other = directory.file("o.moepack")
    let changed = try Binary.moepack.run([
      "convert", Fixtures.checkpoint, "-o", other, "--recipe", recipe,
    ])
    #expect(changed.status == 0 && changed.output.contains("8 tensors requantised"))
    let verify = try Binary.moepack.run(["verify", other, "--against", Fixtures.checkpoint])
    #expect(verify.output.contains("types were changed (ffn_down_exps=Q8_0)"), "\(verify.output)")
  }

  @Test("inspect has a table of layers, what stays resident, and what a token reads")
  func inspect() throws {
    let text = try Binary.moepack.run(["inspect", Fixtures.checkpoint])
    #expect(text.status == 0 && text.output.contains("IQ3_XXS/IQ3_XXS/IQ4_XS"), "\(text.errors)")
    #expect(text.output.contains("read from disk as they are asked for, 4.00 MiB of them a token"))
    #expect(text.output.contains("0-2, 4-6  6       24  IQ3_XXS/IQ3_XXS/IQ4_XS"), "\(text.output)")
    let inspect = try object(["inspect", Fixtures.checkpoint, "--json"])
    #expect(inspect["recipe"] as? String == "tiny-qwen35moe")
    let experts = try #require(inspect["experts"] as? [String: Any])
    let layers = try #require(experts["layers"] as? [[String: Any]])
    #expect(layers.count == 8 && layers[0]["experts"] as? Int == 24)
    #expect(layers[0]["expert_types"] as? [String] == ["IQ3_XXS", "IQ3_XXS", "IQ4_XS"])
    let sum = try #require(experts["expert_bytes"] as? Int)
    let resident = try #require(experts["resident_bytes"] as? Int)
    #expect(sum + resident == inspect["tensor_bytes"] as? Int)
    #expect(experts["expert_bytes_per_token"] as? Int == 4 << 20)
    #expect((experts["resident_bytes_per_token"] as? Int ?? 0) < resident)
  }

  @Test("inspect shows leading dense layers apart, and a model without experts without them")
  func inspectOthers() throws {
    let directory = try TemporaryDirectory()
    let recipe = directory.file("glm.yaml")
    try Data(try ShippedRecipes.smallText("glm-4.5-air").utf8).write(to: URL(filePath: recipe))
    let model = directory.file("glm.gguf")
    #expect(try Binary.moepack.run(["synth", recipe, "-o", model]).status == 0)
    let text = try Binary.moepack.run(["inspect", model])
    #expect(text.status == 0)
    let rows = text.output.split(separator: "\n").map {
      $0.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
    }
    #expect(rows.contains { $0.prefix(4) == ["0", "1", "-", "-"] }, "\(text.output)")
    #expect(
      rows.contains { $0.prefix(4) == ["1-2", "2", "4", "Q4_K/Q4_K/IQ4_NL"] }, "\(text.output)")
    #expect(rows.contains { $0.prefix(3) == ["3", "1", "4"] }, "\(text.output)")
    // Of four layers one is dense and one predicts further tokens.
    let plan = try object(["plan", model, "--json"])
    let layer = try #require((plan["layers"] as? [[String: Any]])?.first?["record_bytes"] as? Int)
    #expect(plan["bytes_per_token"] as? Int == 2 * 2 * layer)

    let dense = directory.file("dense.gguf")
    try LargeVocabulary.write(to: dense)
    let outcome = try Binary.moepack.run(["inspect", dense, "--json"])
    #expect(outcome.status == 0 && !outcome.output.contains("expert_bytes"))
  }
}
