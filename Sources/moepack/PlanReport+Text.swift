import CommandSupport
import Packer
import Planner
import Recipes

extension PlanReport {
  /// For people.
  var text: String {
    var lines = [
      "\(plan.architecture): \(plan.layers.count) layers with experts, "
        + "\(plan.expertsUsed.map { "\($0) experts used a token" } ?? "experts used a token unknown")"
    ]
    if let recipe { lines.append("recipe \(recipe.name): \(recipe.reason)") }
    lines += ["", layerTable, ""]
    lines += Self.aligned(sizes + [("", "")] + running + [("", "")] + converting)
    if let recipe { lines += recipeLines(recipe) }
    return lines.joined(separator: "\n")
  }

  private var layerTable: String {
    var table = TextTable(
      ["layers", "experts", "types", "expert", "record", "slices", "padding", "size"],
      right: [1, 3, 4, 5, 6, 7])
    for group in plan.layerGroups {
      let layer = group.first
      table.add([
        group.name, "\(layer.experts)", layer.types.joined(separator: "/"),
        ByteSize.text(layer.expertBytes), ByteSize.text(layer.recordBytes),
        "\(layer.computeSlices)", ByteSize.text(layer.paddingBytes * UInt64(group.count)),
        ByteSize.text(group.bytes),
      ])
    }
    return table.text
  }

  private var sizes: [(String, String)] {
    let share = Double(plan.paddingBytes) / Double(max(plan.expertBytes, 1)) * 100
    return [
      (subject.isShape ? "GGUF" : "source", ByteSize.text(plan.sourceBytes)),
      ("pack", ByteSize.text(plan.packBytes)),
      (
        "  experts",
        "\(ByteSize.text(plan.expertBytes)), of which padding \(ByteSize.text(plan.paddingBytes))"
          + " (\(decimal(share, 1)) %)"
      ),
      ("  resident", ByteSize.text(plan.residentBytes)),
      ("  checksums", ByteSize.text(plan.checksumBytes)),
    ] + (plan.bytesPerToken.map { [("experts a token", ByteSize.text($0))] } ?? [])
  }

  private var running: [(String, String)] {
    func size(_ bytes: Int) -> String { ByteSize.text(UInt64(max(0, bytes))) }
    var parts = [
      "resident \(size(memory.residentBytes))",
      "KV cache \(size(memory.kvCacheBytes)) for \(memory.contextTokens) tokens",
      "process and tables \(size(memory.processBytes + memory.tableBytes))",
    ]
    let buffers = memory.stateBytes + memory.scratchBytes
    if buffers > 0 { parts.append("state and buffers \(size(buffers))") }
    parts.append("\(plan.expertsUsed ?? 0) experts")
    var rows = [
      (
        "smallest --memory",
        ByteSize.textRoundedUp(UInt64(max(0, memory.minimumBytes)))
          + (memory.basis == .estimate ? ", an estimate: moerun does not run it yet" : "")
      ), ("", parts.joined(separator: ", ")),
    ]
    let budget = ByteSize.text(memory.budgetBytes)
    let share = Double(memory.slots) / Double(max(memory.experts, 1)) * 100
    rows.append(
      (
        "with \(budget)",
        (memory.fits
          ? "runs, \(memory.slots) of \(memory.experts) experts in memory (\(decimal(share, 0)) %)"
          : "does not run") + (isBudgetGiven ? "" : "; what moerun would use here")
      ))
    if let rate = speed.diskBytesPerSecond {
      rows.append(("disk", "\(decimal(rate / 1e9, 2)) GB/s (\(probe))"))
    } else {
      rows.append(("disk", "\(probe); give --probe FILE, a large file on the disk"))
    }
    if let tokens = speed.expectedTokensPerSecond, let hits = speed.expectedHitRate,
      let bytes = speed.expectedDiskBytesPerToken
    {
      func percent(_ rate: Double) -> String { decimal(rate * 100, 0) }
      func places(_ value: Double) -> Int { value < 10 ? 1 : 0 }
      rows.append(
        (
          "expected",
          "\(decimal(tokens[0], places(tokens[0]))) to \(decimal(tokens[1], places(tokens[1]))) tok/s"
            + " decoded, \(percent(hits[0])) to \(percent(hits[1])) % hits, "
            + "\(ByteSize.text(UInt64(bytes[1]))) to \(ByteSize.text(UInt64(bytes[0]))) from disk a token"
        ))
    }
    return rows
  }

  private var converting: [(String, String)] {
    var rows: [(String, String)] = []
    if !subject.isShape, let seconds = speed.convertSeconds {
      rows.append(("converting", "about \(Self.duration(seconds)) at the disk's speed"))
    }
    if let disk {
      rows.append(
        (
          "room",
          "\(ByteSize.text(disk.neededBytes)) needed, \(ByteSize.text(disk.freeBytes)) free at "
            + "\(disk.path)\(disk.fits ? "" : ": does not fit")"
        ))
    }
    return rows
  }

  private func recipeLines(_ recipe: RecipeReport) -> [String] {
    var rows: [(String, String)] = []
    if !recipe.defaults.isEmpty { rows.append(("run with", recipe.defaults)) }
    if !recipe.sampling.isEmpty { rows.append(("sample with", recipe.sampling)) }
    if recipe.typeRules > 0, !recipe.typesApplied, !subject.isShape {
      rows.append(
        ("types", "as they are; --recipe \(recipe.name) shows the pack with the recipe's"))
    }
    for figure in recipe.reference {
      rows.append((figure.figure, "\(figure.value) (\(figure.source))"))
    }
    return rows.isEmpty ? [] : [""] + Self.aligned(rows)
  }

  /// Labels and values in two columns.
  private static func aligned(_ rows: [(String, String)]) -> [String] {
    var rows = rows
    while rows.last.map({ $0.0.isEmpty && $0.1.isEmpty }) == true { rows.removeLast() }
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { label, value in
      value.isEmpty && label.isEmpty
        ? "" : label + String(repeating: " ", count: width - label.count) + "  " + value
    }
  }

  private static func duration(_ seconds: Double) -> String {
    switch seconds {
    case ..<90: "\(decimal(seconds, seconds < 10 ? 1 : 0)) s"
    case ..<5400: "\(decimal(seconds / 60, 0)) min"
    default: "\(decimal(seconds / 3600, 1)) h"
    }
  }
}
