import Foundation
import TestSupport
import Testing

/// The trained checkpoint, packed once for all tests of the command line.
struct SharedPack: Sendable {
  static let shared = Result { try SharedPack() }

  let directory: TemporaryDirectory
  let pack: String

  private init() throws {
    directory = try TemporaryDirectory.untilExit()
    pack = directory.file("tiny.moepack")
    let outcome = try Binary.moepack.run(["convert", Fixtures.checkpoint, "-o", pack])
    #expect(outcome.status == 0, "\(outcome.errors)")
  }
}

@Suite("moerun on the command line")
struct MoerunCommandTests {
  private var pack: String { get throws { try SharedPack.shared.get().pack } }

  private func object(_ arguments: [String]) throws -> [String: Any] {
    let outcome = try Binary.moerun.run(arguments)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let value = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    return try #require(value as? [String: Any])
  }

  @Test("generate streams the text to standard output and reports on standard error")
  func generate() throws {
    let outcome = try Binary.moerun.run([
      "generate", try pack, "-p", "There was once a poor woman, and", "-n", "12",
    ])
    #expect(outcome.status == 0)
    #expect(outcome.output == " she was a very good girl, and she was a very\n")
    for word in ["prompt 8 tokens", "decode 11 tokens", "hit rate", "from disk", "peak memory"] {
      #expect(outcome.errors.contains(word), "\(outcome.errors)")
    }
  }

  @Test("generate --json has the documented members")
  func generateJSON() throws {
    let report = try object(["generate", try pack, "-p", "Once", "-n", "5", "--json"])
    #expect(report["completion_tokens"] as? Int == 5)
    #expect((report["text"] as? String)?.isEmpty == false)
    #expect((report["prompt_tokens"] as? Int ?? 0) > 0)
    for phase in ["prefill", "decode"] {
      let cost = try #require(report[phase] as? [String: Any])
      for key in [
        "tokens", "seconds", "tokens_per_second", "bytes_read", "hit_rate", "stall_seconds",
      ] { #expect(cost[key] != nil, "\(phase).\(key)") }
    }
  }

  @Test("bench measures both phases, and --stats-csv has a row for every evaluation")
  func bench() throws {
    let shared = try SharedPack.shared.get()
    let csv = shared.directory.file("stats.csv")
    let report = try object([
      "bench", shared.pack, "--prefill", "20", "--decode", "6", "--stats-csv", csv, "--json",
    ])
    let decode = try #require(report["decode"] as? [String: Any])
    #expect(decode["tokens"] as? Int == 6)
    #expect((report["prefill"] as? [String: Any])?["tokens"] as? Int == 20)
    #expect((report["peak_memory_bytes"] as? Int ?? 0) > 0 && report["isa"] != nil)
    let rows = String(decoding: try FileBytes.read(csv), as: UTF8.self).split(separator: "\n")
    #expect(rows.count == 1 + 1 + 6)
    let bytes = rows.dropFirst().map { Int($0.split(separator: ",")[7]) ?? -1 }
    let phases = [report["prefill"], report["decode"]].compactMap { $0 as? [String: Any] }
    #expect(bytes.reduce(0, +) == phases.reduce(0) { $0 + ($1["bytes_read"] as? Int ?? 0) })
  }

  @Test("generation ends at the end-of-text token unless told to go on")
  func endOfText() throws {
    let prompt = "<|im_start|>user\nWhat is a dog?<|im_end|>\n<|im_start|>assistant\n"
    let ended = try object(["generate", try pack, "-p", prompt, "-n", "200", "--json"])
    #expect(ended["stop_reason"] as? String == "end_of_text")
    let count = try #require(ended["completion_tokens"] as? Int)
    #expect(count < 200)
    let forced = try object([
      "generate", try pack, "-p", prompt, "-n", "200", "--ignore-eos", "--json",
    ])
    #expect(forced["stop_reason"] as? String == "length")
    #expect(forced["completion_tokens"] as? Int == 200)
  }

  @Test("the same seed gives the same text, another seed another")
  func seeds() throws {
    func text(_ seed: Int) throws -> String {
      try Binary.moerun.run([
        "generate", try pack, "-p", "The", "-n", "40", "--temperature", "1", "--seed", "\(seed)",
      ]).output
    }
    #expect(try text(5) == text(5))
    #expect(try text(5) != text(6))
  }

  @Test("the text is the same at any --memory that is accepted, and the peak stays below it")
  func memory() throws {
    let arguments = ["generate", try pack, "-p", "It was in the year", "-n", "30", "--json"]
    let free = try object(arguments)
    for size in ["78MiB", "84MiB", "96MiB"] {
      let report = try object(arguments + ["--memory", size])
      #expect(report["text"] as? String == free["text"] as? String)
      let memory = try #require(report["memory"] as? [String: Any])
      let peak = try #require(memory["peak_bytes"] as? Int)
      let budget = try #require(memory["budget_bytes"] as? Int)
      #expect(peak <= budget, "\(size)")
    }
    let refused = try Binary.moerun.run(arguments + ["--memory", "70MiB"])
    #expect(refused.status == 2 && refused.output.isEmpty)
    #expect(refused.errors.contains("give at least"), "\(refused.errors)")
  }

  @Test("tokenize prints a JSON array; logits takes it and writes float32")
  func tokenizeAndLogits() throws {
    let shared = try SharedPack.shared.get()
    let text = Fixtures.path("golden/text/prompts/prompt2_unicode.txt")
    let outcome = try Binary.moerun.run(["tokenize", shared.pack, "-f", text])
    let ids = try JSONDecoder().decode([Int32].self, from: Data(outcome.output.utf8))
    let golden = try FileBytes.read(
      Fixtures.path("golden/tiny-qwen35moe-seedmix/prompt2_unicode.tokens.json"))
    #expect(try ids == JSONDecoder().decode([Int32].self, from: golden))

    let list = shared.directory.file("ids.json")
    try Data(outcome.output.utf8).write(to: URL(filePath: list))
    let file = shared.directory.file("out.f32")
    let blocks = shared.directory.file("blocks")
    let run = try Binary.moerun.run([
      "logits", shared.pack, "--tokens", list, "-o", file, "--blocks", blocks,
    ])
    #expect(run.status == 0, "\(run.errors)")
    #expect(try FileBytes.size(file) == ids.count * 8192 * 4)
    #expect(try FileBytes.size(blocks + "/l_out-7.f32") == ids.count * 256 * 4)
  }

  @Test("logits --blocks stays within --memory, and batches append to the same blocks")
  func blocksWithinMemory() throws {
    let shared = try SharedPack.shared.get()
    let directory = try TemporaryDirectory()
    let ids = (0..<1000).map { $0 * 7 % 8192 }
    try JSONEncoder().encode(ids).write(to: URL(filePath: directory.file("ids.json")))
    // 8 layers write 132 MiB of blocks.
    let outcome = try Binary.moerun.run([
      "logits", shared.pack, "--tokens", directory.file("ids.json"), "-o", directory.file("out"),
      "--blocks", directory.file("blocks"), "--memory", "90MiB",
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let words = outcome.errors.components(separatedBy: "peak memory ").last ?? ""
    let peak = try #require(Double(words.prefix { $0 != " " }))
    #expect(words.contains(" MiB of 90.0 MiB") && peak <= 90, "\(outcome.errors)")
    #expect(try FileBytes.size(directory.file("blocks/l_out-7.f32")) == ids.count * 256 * 4)
  }

  @Test("logits leaves alone what is no file, and nothing half written behind")
  func logitsOutput() throws {
    let shared = try SharedPack.shared.get()
    let directory = try TemporaryDirectory()
    let (ids, pipe) = (directory.file("ids.json"), directory.file("pipe"))
    try Data("[1, 2]".utf8).write(to: URL(filePath: ids))
    #expect(mkfifo(pipe, 0o600) == 0)
    let refused = try Binary.moerun.run(["logits", shared.pack, "--tokens", ids, "-o", pipe])
    #expect(refused.status == 2)
    #expect(refused.errors.contains("pipe: is not a regular file"), "\(refused.errors)")
    try Data("[1, 9999999]".utf8).write(to: URL(filePath: ids))
    let wrong = try Binary.moerun.run([
      "logits", shared.pack, "--tokens", ids, "-o", directory.file("out"),
    ])
    #expect(wrong.status == 2 && wrong.errors.contains("9999999"), "\(wrong.errors)")
    let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
    #expect(names.sorted() == ["ids.json", "pipe"])
  }

  @Test("a text that cannot be tokenized within --memory is refused with the numbers")
  func textWithinMemory() throws {
    let directory = try TemporaryDirectory()
    let text = directory.file("text")
    // One long word is the worst case: 24 bytes of memory a byte.
    try Data(repeating: UInt8(ascii: "a"), count: 8_000_000).write(to: URL(filePath: text))
    let outcome = try Binary.moerun.run([
      "perplexity", try pack, "-f", text, "--context", "64", "--memory", "96MiB",
    ])
    #expect(outcome.status == 2 && outcome.output.isEmpty)
    #expect(
      outcome.errors.contains("96.0 MiB of memory allows for 1.00 MiB of text"),
      "\(outcome.errors)")
  }

  @Test("perplexity --json has the documented members")
  func perplexity() throws {
    let report = try object([
      "perplexity", try pack, "-f", Fixtures.path("golden/tiny-qwen35moe-seedmix/ppl.txt"),
      "--context", "1024", "--json",
    ])
    #expect(report["context"] as? Int == 1024)
    #expect((report["tokens"] as? Int ?? 0) > 500)
    let value = try #require(report["perplexity"] as? Double)
    #expect(value > 10 && value < 40)
  }

  @Test("info tells the model and the plan")
  func info() throws {
    let text = try Binary.moerun.run(["info", try pack])
    #expect(text.status == 0 && text.output.contains("qwen35moe"))
    let report = try object(["info", try pack, "--json"])
    #expect(report["experts_used"] as? Int == 4 && report["experts_per_layer"] as? Int == 24)
  }

  @Test("MOERUN_ISA forces an instruction set, and a wrong one is refused")
  func instructionSet() throws {
    let scalar = try Binary.moerun.run(
      ["generate", try pack, "-p", "A", "-n", "2", "--json"], environment: ["MOERUN_ISA": "scalar"])
    #expect(scalar.output.contains("\"isa\" : \"scalar\""))
    let wrong = try Binary.moerun.run(
      ["generate", try pack, "-p", "A", "-n", "2"], environment: ["MOERUN_ISA": "mmx"])
    #expect(wrong.status == 2 && wrong.errors.contains("scalar"), "\(wrong.errors)")
  }

  @Test("what cannot be done says so with the right exit status")
  func failures() throws {
    let shared = try SharedPack.shared.get()
    let cases: [(arguments: [String], status: Int32, message: String)] = [
      (["--wrong"], 64, "--wrong"),
      (["generate", shared.pack], 64, "--prompt"),
      (["generate", shared.pack, "-p", "x", "--temperature", "-1"], 64, "temperature"),
      (["generate", shared.pack, "-p", "x", "--io-threads", "99"], 64, "--io-threads"),
      (["generate", shared.pack, "-p", "x", "--memory", "lots"], 64, "memory"),
      (["generate", shared.pack, "-p", ""], 2, "prompt has no tokens"),
      (["generate", "/nonexistent", "-p", "x"], 2, "/nonexistent: is not a pack"),
      (["generate", shared.pack, "-p", "one two three", "--context", "1"], 2, "context"),
      (["tokenize", shared.pack, "-f", "/nonexistent"], 2, "no such file"),
      (["tokenize", shared.pack], 64, "-f FILE or -p TEXT"),
      (["perplexity", shared.pack, "-f", "/dev/null"], 2, "0 tokens"),
      (["logits", shared.pack, "--tokens", "/dev/null", "-o", "x"], 2, "JSON array"),
    ]
    for item in cases {
      let outcome = try Binary.moerun.run(item.arguments)
      #expect(outcome.status == item.status, "\(item.arguments): \(outcome.errors)")
      #expect(outcome.errors.contains(item.message), "\(item.arguments): \(outcome.errors)")
      #expect(outcome.output.isEmpty)
    }
  }

  @Test("a pack of another architecture is refused by name")
  func otherArchitecture() throws {
    let directory = try TemporaryDirectory()
    try SyntheticModel().write(to: directory.file("model.gguf"))
    let pack = directory.file("model.moepack")
    #expect(
      try Binary.moepack.run(["convert", directory.file("model.gguf"), "-o", pack]).status == 0)
    let outcome = try Binary.moerun.run(["info", pack])
    #expect(outcome.status == 2)
    #expect(outcome.errors.contains("synthetic"), "\(outcome.errors)")
  }
}
