import ArgumentParser
import CommandSupport
import Tokenizers

struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the token ids of a text as a JSON array.",
    discussion: "Special tokens in the text count as such unless --no-special is given.")

  @Argument(help: "The pack.", completion: .directory)
  var pack: String

  @Option(name: .shortAndLong, help: "The file with the text.", completion: .file())
  var file: String?

  @Option(name: .shortAndLong, help: "The text itself.")
  var prompt: String?

  @Flag(name: .customLong("no-special"), help: "Take special tokens as plain text.")
  var noSpecial = false

  func validate() throws {
    guard (file == nil) != (prompt == nil) else {
      throw ValidationError("give either -f FILE or -p TEXT")
    }
  }

  func run() throws {
    try runCommand("moerun") {
      let tokenizer = try Tokenizer(packAt: pack)
      let bytes = try file.map { try TextInput.bytes($0) } ?? Array((prompt ?? "").utf8)
      let ids = try tokenizer.encode(bytes: bytes, parseSpecial: !noSpecial)
      Console.line("[" + ids.map(String.init).joined(separator: ", ") + "]")
    }
  }
}
