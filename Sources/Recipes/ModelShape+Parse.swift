internal import Tensors

extension ModelShape {
  /// Reads and checks section `shape`.
  init(_ node: RecipeNode) throws(RecipeError) {
    let family = try Self.family(of: node)
    let keys = family.keys.filter {
      if case .derived = $0.kind { false } else { true }
    }
    var nodes: [String: RecipeNode] = [:]
    try Self.collect(
      node, keys, prefix: "", besides: ["architecture", "name", "tokenizer", "types"], into: &nodes)
    var values: [String: ShapeValue] = [:]
    for key in keys {
      guard let node = nodes[key.name] else { continue }
      values[key.name] = try node.value(key.kind)
    }
    guard let name = nodes["name"], let tokenizer = nodes["tokenizer"], let types = nodes["types"]
    else { preconditionFailure("keys were checked") }
    self.init(
      family: family, name: try name.text(), tokenizer: try tokenizer.text(), values: values,
      types: try Self.types(types, roles: family.roles))
    for rule in ShapeRule.common + family.rules {
      guard let expected = rule.expected(self), let node = nodes[rule.key] else { continue }
      throw node.error("expected \(expected), found \(node.foundValue)")
    }
    try checkColumns(family, at: types)
  }

  private static func family(of node: RecipeNode) throws(RecipeError) -> ModelFamily {
    let architecture = try node.value(of: "architecture")
    let name = try architecture.text()
    guard let family = ModelFamily.all.first(where: { $0.architecture == name }) else {
      throw architecture.error(
        "expected \(architectures.joined(separator: ", ")), the architectures that can be "
          + "synthesized; found '\(name.prefix(64))'")
    }
    return family
  }

  /// Puts the nodes of `keys`, whose dots are levels of mappings, into `nodes` by their full names.
  private static func collect(
    _ node: RecipeNode, _ keys: [ShapeKey], prefix: String, besides: [String],
    into nodes: inout [String: RecipeNode]
  ) throws(RecipeError) {
    func first(_ key: ShapeKey) -> String {
      String(key.name.dropFirst(prefix.count).prefix { $0 != "." })
    }
    var names: [String] = []
    for key in keys where !names.contains(first(key)) { names.append(first(key)) }
    func below(_ name: String) -> [ShapeKey] { keys.filter { first($0) == name } }
    let optional = names.filter { below($0).allSatisfy(\.isOptional) }
    let fields = try node.mapping(besides + names, optional: optional)
    for name in besides + names {
      guard let child = fields.optional(name) else { continue }
      let full = prefix + name
      if besides.contains(name) || keys.contains(where: { $0.name == full }) {
        nodes[full] = child
      } else {
        try collect(child, below(name), prefix: full + ".", besides: [], into: &nodes)
      }
    }
  }

  private static func types(
    _ node: RecipeNode, roles: [TensorRole]
  ) throws(RecipeError) -> [TensorRole: TensorType] {
    let fields = try node.mapping(roles.map(\.rawValue))
    var types: [TensorRole: TensorType] = [:]
    for role in roles { types[role] = try fields[role.rawValue].type(among: role.allowedTypes) }
    return types
  }

  /// Checks that every row of every matrix is a whole number of blocks.
  private func checkColumns(
    _ family: ModelFamily, at node: RecipeNode
  ) throws(RecipeError) {
    for template in family.tensors {
      guard let columns = template.dimensions.first else { continue }
      let (type, count) = (type(of: template.role), columns.value(self))
      guard count.isMultiple(of: type.blockSize) else {
        throw node.error(
          "\(template.role.rawValue): a block of \(type.name) holds \(type.blockSize) weights of a "
            + "row; expected \(columns.text) to be a multiple of it, found \(count)")
      }
    }
  }
}

extension RecipeNode {
  /// The value as `kind` wants it.
  fileprivate func value(_ kind: ShapeKey.Kind) throws(RecipeError) -> ShapeValue {
    switch kind {
    case .count(let range): .count(try integer(range))
    case .positive(let limit): .number(try positive(upTo: limit))
    case .flag: .flag(try flag())
    case .text(let words): .text(try word(among: words))
    case .counts(let count, let range): .counts(try integers(count: count, range))
    case .derived: preconditionFailure("a derived key is none of a recipe's")
    }
  }
}
