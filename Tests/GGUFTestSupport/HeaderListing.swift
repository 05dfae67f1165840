package import GGUF

/// A header as text, one line for each value and tensor, to be compared with what another reader
/// says of the same file. Long contents are given by their FNV-1a hash.
package func listing(_ header: GGUFHeader) -> String {
  var lines = [
    "version \(header.version) alignment \(header.alignment) data \(header.byteCount)"
  ]
  for entry in header.metadata.entries { lines.append("\(entry.key) \(text(entry.value))") }
  for tensor in header.tensors {
    let dimensions = tensor.dimensions.map { "\($0)" }.joined(separator: ",")
    lines.append(
      "\(tensor.name) \(tensor.type) \(dimensions) \(tensor.offset) \(tensor.byteCount)")
  }
  return lines.joined(separator: "\n") + "\n"
}

private func text(_ value: GGUFValue) -> String {
  switch value {
  case .string(let string): "string \(string.byteCount) \(hash(string.byteArray))"
  case .float32(let number): "float32 \(number.bitPattern)"
  case .float64(let number): "float64 \(number.bitPattern)"
  case .array(let array):
    "array \(array.elementType) \(array.count) "
      + hash(Array(array.map(text).joined(separator: "\n").utf8))
  default: value.description
  }
}

private func hash(_ bytes: [UInt8]) -> String {
  var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
  return String(hash, radix: 16)
}
