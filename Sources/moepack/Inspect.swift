import ArgumentParser
import CommandSupport
import GGUF
import Recipes
import Tensors

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a GGUF holds: metadata, layers, types and sizes, what a token reads.")

  @Argument(help: "The GGUF; any shard of a split one.", completion: .file(extensions: ["gguf"]))
  var file: String

  @Flag(help: "List every tensor too.")
  var tensors = false

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try runCommand("moepack") {
      let source = try GGUFFile.open(file)
      let report = InspectReport(source, listTensors: tensors)
      if json { try Console.json(report) } else { Console.line(report.text) }
    }
  }
}

/// What `inspect` says.
private struct InspectReport: Encodable {
  struct TypeRow: Encodable {
    let type: String
    let tensors: Int
    let elements: UInt64
    let bytes: UInt64
  }
  struct TensorRow: Encodable {
    let name: String
    let type: String
    let dimensions: [UInt64]
    let shard: Int
    let offset: UInt64
    let bytes: UInt64
  }
  struct ShardRow: Encodable {
    let path: String
    let bytes: UInt64
    let ggufVersion: UInt32
    let alignment: UInt64
    let tensors: Int
  }

  let architecture: String?
  let name: String?
  let shards: [ShardRow]
  let metadata: [String: String]
  let tensorCount: Int
  let elements: UInt64
  let tensorBytes: UInt64
  let types: [TypeRow]
  /// Blocks, experts and what stays resident; nil for a model without experts.
  let experts: LayerTable?
  /// Name of the recipe that is for the model.
  let recipe: String?
  let tensors: [TensorRow]?

  init(_ source: GGUFFile, listTensors: Bool) {
    architecture = (try? source.metadata.optionalString("general.architecture")) ?? nil
    name = (try? source.metadata.optionalString("general.name")) ?? nil
    shards = source.shards.map {
      ShardRow(
        path: $0.path, bytes: $0.fileSize, ggufVersion: $0.header.version,
        alignment: UInt64($0.header.alignment), tensors: $0.header.tensors.count)
    }
    metadata = Dictionary(
      uniqueKeysWithValues: source.metadata.entries.map { ($0.key, Self.text($0.value)) })
    tensorCount = source.tensors.count
    self.elements = Self.sum(source.tensors.map(\.elementCount))
    tensorBytes = Self.sum(source.tensors.map(\.byteCount))
    types = Dictionary(grouping: source.tensors, by: \.type).map { type, group in
      TypeRow(
        type: type.name, tensors: group.count, elements: Self.sum(group.map(\.elementCount)),
        bytes: Self.sum(group.map(\.byteCount)))
    }.sorted { ($0.bytes, $0.type) > ($1.bytes, $1.type) }
    experts = LayerTable(source)
    recipe = RecipeLibrary.standard.search(source.metadata).choice?.recipe.name
    tensors =
      listTensors
      ? source.tensors.map {
        TensorRow(
          name: $0.name, type: $0.type.name, dimensions: $0.dimensions, shard: $0.shard,
          offset: $0.offset, bytes: $0.byteCount)
      } : nil
  }

  /// The sum, or the largest number when tensors of a sparse file claim more.
  private static func sum(_ counts: [UInt64]) -> UInt64 {
    counts.reduce(0) {
      let (sum, overflow) = $0.addingReportingOverflow($1)
      return overflow ? .max : sum
    }
  }

  /// A value on one line: strings in quotes, cut when they are long.
  private static func text(_ value: GGUFValue) -> String {
    guard case .string(let string) = value else { return value.description }
    return "string " + string.description.quotedForMessage
  }

  var text: String {
    var lines: [String] = []
    for shard in shards {
      lines.append(
        "\(shard.path): GGUF version \(shard.ggufVersion), \(ByteSize.text(shard.bytes)), "
          + "\(shard.tensors) tensors, alignment \(shard.alignment)")
    }
    lines.append("")
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      lines.append("\(key) = \(value)")
    }
    lines.append("")
    var table = TextTable(["type", "tensors", "weights", "size"], right: [1, 2, 3])
    for row in types {
      table.add([row.type, "\(row.tensors)", "\(row.elements)", ByteSize.text(row.bytes)])
    }
    table.add(["all", "\(tensorCount)", "\(elements)", ByteSize.text(tensorBytes)])
    lines.append(table.text)
    if let experts { lines += ["", experts.text] }
    if let recipe { lines += ["", "recipe    \(recipe), see: moepack plan"] }
    if let tensors {
      var table = TextTable(
        ["tensor", "type", "dimensions", "shard", "offset", "bytes"], right: [3, 4, 5])
      for row in tensors {
        table.add([
          String(row.name.quotedForMessage.dropFirst().dropLast()), row.type,
          row.dimensions.map(String.init).joined(separator: " x "),
          "\(row.shard + 1)", "\(row.offset)", "\(row.bytes)",
        ])
      }
      lines += ["", table.text]
    }
    return lines.joined(separator: "\n")
  }
}
