package import GGUF

/// What must hold for every header that the parser accepts, however it was made.
///
/// Calls every accessor on every key, so that a trap anywhere shows.
/// - Returns: What does not hold; empty for a sound reader and writer.
package func violations(in header: GGUFHeader, fileSize: UInt64) -> [String] {
  var found: [String] = []
  touchAccessors(header.metadata)
  var ranges: [Range<UInt64>] = []
  for tensor in header.tensors {
    let (end, overflow) = tensor.offset.addingReportingOverflow(tensor.byteCount)
    if overflow || end > fileSize { found.append("\(tensor.name) ends past the file") }
    if tensor.offset < header.byteCount { found.append("\(tensor.name) is inside the header") }
    if (tensor.offset - min(tensor.offset, header.byteCount)) % UInt64(header.alignment) != 0 {
      found.append("\(tensor.name) is misaligned")
    }
    if tensor.byteCount == 0 { found.append("\(tensor.name) is empty") }
    if !overflow { ranges.append(tensor.offset..<end) }
  }
  ranges.sort { $0.lowerBound < $1.lowerBound }
  for (first, second) in zip(ranges, ranges.dropFirst()) where first.upperBound > second.lowerBound
  {
    found.append("tensors overlap at \(second.lowerBound)")
  }
  found += rewriteViolations(header)
  return found
}

/// Writes the header's metadata and tensors again and reads the result: all values must survive.
private func rewriteViolations(_ header: GGUFHeader) -> [String] {
  var writer = GGUFWriter(metadata: header.metadata)
  for tensor in header.tensors {
    writer.add(tensor.name, type: tensor.type, dimensions: tensor.dimensions)
  }
  let again: GGUFHeader
  do { again = try writer.layout().header } catch {
    // Dense data of tensors that lay far apart may exceed 63 bits together with their padding.
    if let error = error as? GGUFError, error.code == .limitExceeded { return [] }
    return ["the writer refuses what the reader accepted: \(error)"]
  }
  var found: [String] = []
  if again.metadata.entries.map(\.key) != header.metadata.entries.map(\.key) {
    found.append("keys change when written again")
  }
  for (first, second) in zip(header.metadata.entries, again.metadata.entries)
  where !identical(first.value, second.value) {
    found.append("\(first.key) changes from \(first.value) to \(second.value)")
  }
  let sameTensors = zip(header.tensors, again.tensors).allSatisfy {
    $0.name == $1.name && $0.type == $1.type && $0.dimensions == $1.dimensions
      && $0.byteCount == $1.byteCount
  }
  if !sameTensors || header.tensors.count != again.tensors.count {
    found.append("tensors change when written again")
  }
  return found
}

/// Equality of encodings: NaN equals the same NaN.
private func identical(_ first: GGUFValue, _ second: GGUFValue) -> Bool {
  switch (first, second) {
  case (.float32(let a), .float32(let b)): a.bitPattern == b.bitPattern
  case (.float64(let a), .float64(let b)): a.bitPattern == b.bitPattern
  default: first == second
  }
}

private func touchAccessors(_ metadata: GGUFMetadata) {
  for key in metadata.keys {
    _ = try? metadata.string(key)
    _ = try? metadata.unsigned(key)
    _ = try? metadata.integer(key)
    _ = try? metadata.count(key, atMost: 512)
    _ = try? metadata.float(key)
    _ = try? metadata.bool(key)
    _ = try? metadata.strings(key)
    _ = try? metadata.byteStrings(key)
    _ = try? metadata.integers(key)
    _ = try? metadata.floats(key)
    _ = try? metadata.bools(key)
    if case .array(let array)? = metadata[key] { touchElements(array) }
  }
}

private func touchElements(_ array: GGUFArray) {
  var count = 0
  for element in array {
    count += 1
    if case .array(let inner) = element { touchElements(inner) }
  }
  precondition(count == array.count, "an array of \(array.count) decodes to \(count) elements")
}
