import FuzzSupport
import GGUF
import Recipes

/// What libFuzzer calls with each input: the text of a recipe, which is refused by line and key, or gives a
/// model that can be laid out.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = UnsafeBufferPointer(start: start, count: count)
  guard let text = String(validating: input, as: UTF8.self) else { return 0 }
  FuzzLimits.hold {
    do {
      let recipe = try Recipe(text: text, path: "fuzz.yaml")
      for rule in recipe.typeRules { precondition(!"\(rule)".isEmpty) }
      guard let shape = recipe.shape else { return }
      let small = shape.resized(layers: 3, vocabulary: 300)
      var writer = GGUFWriter()
      for entry in small.metadata { writer.metadata.set(entry.value, for: entry.key) }
      for tensor in small.tensors {
        writer.add(tensor.name, type: tensor.type, dimensions: tensor.dimensions)
      }
      do { _ = try writer.layout() } catch {
        precondition(error is GGUFError, "not an error of the writer: \(error)")
      }
    } catch let error as RecipeError {
      precondition(!error.message.isEmpty && error.message.utf8.count < 2000, "\(error)")
    } catch { fatalError("not an error of recipes: \(error)") }
  }
  return 0
}
