import ArgumentParser
import CommandSupport
import GGUF
import Packer

struct Plan: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the pack that convert would write: records, slices, sizes. Writes nothing.")

  @Argument(help: "The GGUF; any shard of a split one.", completion: .file(extensions: ["gguf"]))
  var file: String

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try runCommand("moepack") {
      let plan = try PackPlan(source: try GGUFFile.open(file))
      if json { try Console.json(plan) } else { Console.line(Self.text(plan)) }
    }
  }

  private static func text(_ plan: PackPlan) -> String {
    var lines = [
      "\(plan.architecture): \(plan.layers.count) layers with experts, "
        + "\(plan.expertsUsed.map { "\($0) experts used a token" } ?? "experts used a token unknown")",
      "",
    ]
    var table = TextTable(
      ["layers", "experts", "types", "expert", "record", "slices", "padding", "size"],
      right: [1, 3, 4, 5, 6, 7])
    for group in plan.layerGroups {
      let layer = group.first
      table.add([
        group.name, "\(layer.experts)", layer.types.joined(separator: "/"),
        ByteSize.text(layer.expertBytes), ByteSize.text(layer.recordBytes),
        "\(layer.computeSlices)", ByteSize.text(layer.paddingBytes),
        ByteSize.text(group.bytes),
      ])
    }
    lines.append(table.text)
    lines += [
      "",
      "source            \(ByteSize.text(plan.sourceBytes))",
      "pack              \(ByteSize.text(plan.packBytes))",
      "  experts         \(ByteSize.text(plan.expertBytes)), of which padding \(ByteSize.text(plan.paddingBytes))",
      "  resident        \(ByteSize.text(plan.residentBytes))",
      "  checksums       \(ByteSize.text(plan.checksumBytes))",
    ]
    if let bytes = plan.bytesPerToken {
      lines.append("experts a token   \(ByteSize.text(bytes))")
    }
    return lines.joined(separator: "\n")
  }
}
