import GGUF
import Recipes
import TestSupport
import Testing

@Suite("Mutated recipes")
struct RecipeMutationTests {
  private static let pieces = [
    "0", "-1", "9223372036854775807", "18446744073709551616", "1e308", "nan", "[]", "{}", "[[",
    "? ",
    "*a", "&a", "<<: 1", "!!binary x", "|", ">", "---", "...", "\t", "'", "\"", ":", "- ", "#", "%",
    "true", "null", "~", "IQ3_XXS", "block_count: 1024", "  ", "\u{0}", "\u{85}", "\u{2028}", "é",
  ]

  /// One change: bytes, pieces, or whole lines.
  private static func mutate(_ text: String, _ random: inout RandomBytes) -> String {
    var bytes = Array(text.utf8)
    func place() -> Int { Int.random(in: 0...bytes.count, using: &random) }
    switch Int.random(in: 0..<6, using: &random) {
    case 0:
      let at = place()
      if at < bytes.count { bytes[at] = UInt8.random(in: 0...255, using: &random) }
    case 1:
      bytes.insert(contentsOf: pieces.randomElement(using: &random)?.utf8 ?? "".utf8, at: place())
    case 2:
      let (a, b) = (place(), place())
      bytes.removeSubrange(min(a, b)..<min(max(a, b), min(a, b) + 40))
    default:
      var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      let (a, b) = (
        Int.random(in: 0..<lines.count, using: &random),
        Int.random(in: 0..<lines.count, using: &random)
      )
      switch Int.random(in: 0..<4, using: &random) {
      case 0: lines.remove(at: a)
      case 1: lines.insert(lines[b], at: a)
      case 2: lines.swapAt(a, b)
      default:
        let key = lines[a].prefix { $0 != ":" }
        lines[a] = "\(key): \(pieces.randomElement(using: &random) ?? "")"[...]
      }
      return lines.joined(separator: "\n")
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test(
    "are read or refused with a message, and whatever is read can be laid out or is refused",
    .timeLimit(.minutes(2)), arguments: ShippedRecipes.names)
  func mutations(_ name: String) throws {
    let text = try ShippedRecipes.text(name)
    var random = RandomBytes(seed: UInt64(name.utf8.reduce(7) { $0 &* 31 &+ Int($1) } & 0xFFFF))
    var accepted = 0
    for _ in 0..<500 {
      var mutated = text
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        mutated = Self.mutate(mutated, &random)
      }
      do {
        let recipe = try Recipe(text: mutated, path: "m.yaml")
        accepted += 1
        guard let shape = recipe.shape else { continue }
        let small = shape.resized(layers: 3, vocabulary: 300)
        var writer = GGUFWriter()
        for entry in small.metadata { writer.metadata.set(entry.value, for: entry.key) }
        for tensor in small.tensors {
          writer.add(tensor.name, type: tensor.type, dimensions: tensor.dimensions)
        }
        _ = try? writer.layout()
      } catch let error as RecipeError {
        #expect(!error.message.isEmpty && error.message.utf8.count < 2000)
      }
    }
    // Some change only comments or numbers; most change what has to be right.
    #expect((10...400).contains(accepted), "\(accepted)")
  }
}
