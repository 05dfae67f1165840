import CommandSupport
import GGUF
import Packer
import Tensors

/// A source's blocks as people look at them: experts, types, and what stays resident.
struct LayerTable: Encodable {
  /// One block.
  struct Row: Encodable, Hashable {
    let layer: Int
    let experts: Int
    /// Types of gate, up and down.
    let expertTypes: [String]
    /// Bytes of an expert's weights.
    let expertBytes: UInt64
    /// Types of the other tensors, by bytes.
    let residentTypes: [String]
    /// Bytes of the other tensors.
    let residentBytes: UInt64

    /// Whether only the number differs.
    func isLike(_ other: Row) -> Bool {
      experts == other.experts && expertTypes == other.expertTypes
        && expertBytes == other.expertBytes && residentTypes == other.residentTypes
        && residentBytes == other.residentBytes
    }
  }

  let layers: [Row]
  /// Bytes of all experts.
  let expertBytes: UInt64
  /// Bytes of everything else.
  let residentBytes: UInt64
  /// Bytes of the records that a token uses in a pack; nil where the metadata do not say how many.
  let expertBytesPerToken: UInt64?
  /// Bytes of resident weights that a token passes through: all but the embedding, of which it takes
  /// a row.
  let residentBytesPerToken: UInt64

  /// The blocks of `source`; nil for a model without experts, or one that cannot be packed.
  init?(_ source: GGUFFile) {
    guard let plan = try? PackPlan(source: source) else { return nil }
    let records = Dictionary(uniqueKeysWithValues: plan.layers.map { ($0.layer, $0) })
    var resident: [Int: [GGUFTensor]] = [:]
    for tensor in source.tensors {
      guard let block = Self.block(of: tensor.name), !Self.isExperts(tensor.name) else { continue }
      resident[block, default: []].append(tensor)
    }
    layers = Set(records.keys).union(resident.keys).sorted().map { block in
      let tensors = resident[block] ?? []
      let bytes = Dictionary(grouping: tensors, by: \.type).mapValues { group in
        group.reduce(UInt64(0)) { $0 + $1.byteCount }
      }
      let record = records[block]
      return Row(
        layer: block, experts: record?.experts ?? 0, expertTypes: record?.types ?? [],
        expertBytes: record?.expertBytes ?? 0,
        residentTypes: bytes.sorted { ($0.value, $1.key.id) > ($1.value, $0.key.id) }
          .map(\.key.name),
        residentBytes: bytes.values.reduce(0, +))
    }
    let all = source.tensors.reduce(UInt64(0)) { $0 + $1.byteCount }
    expertBytes = plan.layers.reduce(0) { $0 + $1.expertBytes * UInt64($1.experts) }
    residentBytes = all - min(all, expertBytes)
    let embedding = source.tensor(named: "token_embd.weight")?.byteCount ?? 0
    // A file without a head of its own takes the embedding for it.
    let isTied = source.tensor(named: "output.weight") == nil
    residentBytesPerToken = residentBytes - (isTied ? 0 : min(embedding, residentBytes))
    expertBytesPerToken = plan.bytesPerToken
  }

  private static func block(of name: String) -> Int? {
    let parts = name.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "blk" else { return nil }
    return Int(parts[1])
  }

  private static func isExperts(_ name: String) -> Bool {
    let part = name.split(separator: ".").dropFirst(2).first ?? ""
    return part.hasPrefix("ffn_") && part.hasSuffix("_exps") && name.hasSuffix(".weight")
  }

  /// Numbers as runs, in the middle cut short: `0-2, 4-6, ... 56-58`.
  private static func runs(_ numbers: [Int]) -> String {
    var runs: [ClosedRange<Int>] = []
    for number in numbers {
      if let last = runs.last, last.upperBound + 1 == number {
        runs[runs.count - 1] = last.lowerBound...number
      } else {
        runs.append(number...number)
      }
    }
    func text(_ run: ClosedRange<Int>) -> String {
      run.count == 1 ? "\(run.lowerBound)" : "\(run.lowerBound)-\(run.upperBound)"
    }
    guard runs.count > 3, let last = runs.last else {
      return runs.map(text).joined(separator: ", ")
    }
    return "\(text(runs[0])), \(text(runs[1])), ... \(text(last))"
  }

  /// For people: a row for all blocks that are alike, then the sums.
  var text: String {
    var table = TextTable(
      ["layers", "", "experts", "types", "expert", "experts' size", "resident", "types of it"],
      right: [1, 2, 4, 5, 6])
    var groups: [[Row]] = []
    for row in layers {
      if let index = groups.firstIndex(where: { $0[0].isLike(row) }) {
        groups[index].append(row)
      } else {
        groups.append([row])
      }
    }
    for group in groups {
      let (first, count) = (group[0], UInt64(group.count))
      let isDense = first.experts == 0
      table.add([
        Self.runs(group.map(\.layer)), "\(count)", isDense ? "-" : "\(first.experts)",
        isDense ? "-" : first.expertTypes.joined(separator: "/"),
        isDense ? "-" : ByteSize.text(first.expertBytes),
        isDense ? "-" : ByteSize.text(first.expertBytes * UInt64(first.experts) * count),
        ByteSize.text(first.residentBytes * count), first.residentTypes.joined(separator: ", "),
      ])
    }
    var lines = [table.text, ""]
    lines.append(
      "experts   \(ByteSize.text(expertBytes)), read from disk as they are asked for"
        + (expertBytesPerToken.map { ", \(ByteSize.text($0)) of them a token" } ?? ""))
    lines.append(
      "resident  \(ByteSize.text(residentBytes)), \(ByteSize.text(residentBytesPerToken)) of it "
        + "a token")
    return lines.joined(separator: "\n")
  }
}
