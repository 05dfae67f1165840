internal import GGUF

/// The tokenizer of one model, padded or cut to another size of vocabulary.
struct SyntheticVocabulary {
  private enum Kind {
    static let normal: Int64 = 1
    static let unused: Int64 = 5
  }

  /// Where a byte-level vocabulary cannot get smaller: a token for each byte.
  private static let byteCount = 256
  private static let prefix = "tokenizer."
  private static let tokensKey = "tokenizer.ggml.tokens"
  private static let typesKey = "tokenizer.ggml.token_type"

  /// Metadata keys with their values, in the order of the source.
  let entries: [(key: String, value: GGUFValue)]

  /// Takes the tokenizer out of `metadata`.
  ///
  /// A larger vocabulary gets unused tokens at its end. A smaller one loses its highest ordinary
  /// tokens and the merges that name them; control tokens and those that keys refer to stay, with
  /// their numbers moved down.
  /// - Parameters:
  ///   - metadata: Of the model that has the tokenizer.
  ///   - size: Tokens wanted.
  ///   - path: What messages call the model.
  /// - Throws: `GGUFError` where `metadata` holds no tokenizer; ``SynthesisError`` where `size` is too
  ///   small for the tokens that must stay.
  init(_ metadata: GGUFMetadata, size: Int, path: String) throws {
    let tokens = try metadata.byteStrings(Self.tokensKey)
    let source = metadata.entries.filter { $0.key.hasPrefix(Self.prefix) }
    guard size != tokens.count else {
      entries = source.map { ($0.key, $0.value) }
      return
    }
    let types =
      try metadata.optionalIntegers(Self.typesKey)
      ?? Array(repeating: Kind.normal, count: tokens.count)
    let kept = try Self.kept(tokens: tokens, types: types, metadata, size: size, path: path)
    let numbers = Dictionary(uniqueKeysWithValues: kept.enumerated().map { ($1, $0) })
    let padding = size - kept.count
    var result: [(key: String, value: GGUFValue)] = []
    for entry in source {
      switch entry.key {
      case Self.tokensKey:
        let names = kept.map { tokens[$0] } + Self.paddingTokens(padding, after: tokens)
        result.append((entry.key, .array(GGUFArray(of: .string, names.lazy.map { .string($0) }))))
      case Self.typesKey:
        let kinds = kept.map { types[$0] } + Array(repeating: Kind.unused, count: padding)
        result.append((entry.key, .array(GGUFArray(int32: kinds.lazy.map { Int32(clamping: $0) }))))
      case "tokenizer.ggml.scores":
        let scores = try metadata.floats(entry.key)
        let all = kept.map { $0 < scores.count ? Float(scores[$0]) : 0 }
        result.append(
          (
            entry.key,
            .array(GGUFArray(float32: all + Array(repeating: -1000, count: padding)))
          ))
      case "tokenizer.ggml.merges":
        let merges = try metadata.byteStrings(entry.key)
        let names = Set(kept.map { tokens[$0] })
        let possible =
          kept.count == tokens.count ? merges : merges.filter { Self.joins($0, within: names) }
        result.append(
          (entry.key, .array(GGUFArray(of: .string, possible.lazy.map { .string($0) }))))
      case let key where key.hasSuffix("_token_id"):
        guard let id = entry.value.integer(as: Int.self), let number = numbers[id] else { continue }
        result.append((key, .uint32(UInt32(number))))
      case "tokenizer.huggingface.json":
        // Describes the vocabulary as it was.
        continue
      default: result.append((entry.key, entry.value))
      }
    }
    if metadata[Self.typesKey] == nil {
      let kinds =
        kept.map { _ in Int32(Kind.normal) }
        + Array(repeating: Int32(Kind.unused), count: padding)
      result.append((Self.typesKey, .array(GGUFArray(int32: kinds))))
    }
    entries = result
  }

  /// Numbers of the tokens that a vocabulary of `size` keeps, ascending.
  private static func kept(
    tokens: [GGUFString], types: [Int64], _ metadata: GGUFMetadata, size: Int, path: String
  ) throws -> [Int] {
    guard size < tokens.count else { return Array(tokens.indices) }
    let named = Set(
      metadata.entries.lazy.filter { $0.key.hasPrefix(prefix) && $0.key.hasSuffix("_token_id") }
        .compactMap { $0.value.integer(as: Int.self) })
    func isSpecial(_ id: Int) -> Bool {
      let type = id < types.count ? types[id] : Kind.normal
      return named.contains(id) || (type != Kind.normal && type != Kind.unused)
    }
    let special = tokens.indices.count(where: isSpecial)
    let least = special + byteCount
    guard size >= least else {
      throw SynthesisError(
        "\(path): a vocabulary of \(size) tokens is too small: expected at least \(least), "
          + "\(byteCount) for the bytes and \(special) special ones")
    }
    var ordinary = size - special
    return tokens.indices.filter { id in
      if isSpecial(id) { return true }
      ordinary -= 1
      return ordinary >= 0
    }
  }

  /// Names for `count` tokens that no token before has.
  private static func paddingTokens(_ count: Int, after tokens: [GGUFString]) -> [GGUFString] {
    guard count > 0 else { return [] }
    let taken = Set(tokens)
    return (tokens.count..<tokens.count + count).map { id in
      var name = "[PAD\(id)]"
      while taken.contains(GGUFString(name)) { name = "[\(name)]" }
      return GGUFString(name)
    }
  }

  /// Whether the merge "left right" joins two of `tokens` to a third.
  private static func joins(_ merge: GGUFString, within tokens: Set<GGUFString>) -> Bool {
    let bytes = merge.byteArray
    // The first byte of a token may be a space itself.
    guard let space = bytes.dropFirst().firstIndex(of: UInt8(ascii: " ")) else { return false }
    let (left, right) = (Array(bytes[..<space]), Array(bytes[(space + 1)...]))
    return [left, right, left + right].allSatisfy { tokens.contains(GGUFString(bytes: $0)) }
  }
}
