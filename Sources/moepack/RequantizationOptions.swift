import ArgumentParser
import CommandSupport
import GGUF
import Packer
import Quantizers
import Recipes
import Tensors

/// Options of commands that change the types of tensors.
struct RequantizationOptions: ParsableArguments {
  @Option(
    name: .customLong("type"),
    help: ArgumentHelp(
      "Give the tensors of a name another type, as in ffn_down_exps=iq4_xs. May be repeated; the first that "
        + "matches a tensor counts.",
      discussion: """
        The name is what a tensor's says beside its block (token_embd, ffn_gate_exps, attn_*), or with a dot \
        all of it (blk.3.ffn_down_exps.weight). Types: q8_0, q6_K, q5_K, q4_K, iq4_xs, iq4_nl, q4_0, \
        mxfp4, iq3_xxs. Vectors keep their type.
        """, valueName: "name=type"))
  var types: [String] = []

  @Option(
    help: "Importance matrix in GGUF form, which says what errors in which columns count.",
    completion: .file(extensions: ["gguf"]))
  var imatrix: String?

  func validate() throws {
    for text in types {
      guard let rule = TypeRule(text), Quantizer.types.contains(rule.type) else {
        throw ValidationError(
          "--type takes NAME=TYPE with one of the types "
            + Quantizer.types.map(\.name).joined(separator: ", ")
            + "; found \(text.quotedForMessage)")
      }
    }
  }

  /// The model that the options and the types of `recipe`, one that was named, make of `source`; nil when they change
  /// nothing. What is typed goes before what the recipe says.
  func apply(
    to source: GGUFFile, recipe: Recipe?, isInPlace: Bool, threads: Int
  ) throws -> Requantization? {
    let own = types.compactMap { TypeRule($0) }
    let rules = own + (recipe?.typeRules ?? [])
    guard !rules.isEmpty else {
      guard imatrix == nil else {
        throw ValidationError("--imatrix serves a change of types; give --type or --recipe as well")
      }
      return nil
    }
    let importance = try imatrix.map { try ImportanceMatrix(contentsOf: $0) }
    let plan = try RequantizationPlan(
      source: source, rules: rules, importance: importance)
    if let rule = plan.unmatched.first(where: { own.contains($0) }) {
      throw ValidationError(
        "--type \(rule.text): no matrix of the model is called so, or an earlier --type takes all of them; its "
          + "matrices are " + RequantizationPlan.names(in: source).joined(separator: ", "))
    }
    guard !plan.changes.isEmpty else {
      guard own.isEmpty else {
        throw ValidationError("every tensor that --type names has that type already; leave it out")
      }
      return nil
    }
    guard !isInPlace else {
      throw ValidationError(
        "--in-place leaves the weights in the source, --type and --recipe change \(plan.changes.count) of them; "
          + "give one of them")
    }
    warn(plan)
    let line = ProgressLine(
      "checksumming the source", total: Requantization.progressBytes(plan))
    defer { line.clear() }
    return try Requantization(plan, threads: threads) { line.add($0) }
  }

  private func warn(_ plan: RequantizationPlan) {
    for (from, changes) in Dictionary(grouping: plan.changes.filter(\.isRepeated), by: \.from)
      .sorted(by: { $0.key.id < $1.key.id })
    {
      Console.message(
        "moepack: warning: quantised a second time, and what the first time lost stays lost: "
          + "\(changes.count) x \(from) (\(changes[0].tensor)\(changes.count > 1 ? ", ..." : ""))")
    }
    let unweighted = plan.changes.filter { !$0.isWeighted }
    if let imatrix, let first = unweighted.first {
      Console.message(
        "moepack: warning: \(imatrix) has nothing on \(unweighted.count) of \(plan.changes.count) tensors, "
          + "whose columns then count the same (\(first.tensor), ...)")
    }
  }
}
