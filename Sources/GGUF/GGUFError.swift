/// What is wrong with a GGUF file, where, what was expected and what was found.
public struct GGUFError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kinds of defect, stable for callers and tests.
  public enum Code: String, Sendable, CaseIterable {
    /// The first four bytes are not `GGUF`.
    case notGGUF
    /// The file was written for big-endian machines.
    case bigEndian
    /// A version other than 2 and 3.
    case unsupportedVersion
    /// The file ends before what it announces.
    case truncated
    /// A count or length beyond ``GGUFLimits``.
    case limitExceeded
    /// A metadata type number that does not exist.
    case unknownValueType
    /// A value outside what its key or type allows.
    case invalidValue
    /// A key or a tensor name is not UTF-8.
    case invalidUTF8
    /// A key or a tensor name occurs twice.
    case duplicateName
    /// `general.alignment` has the wrong type or is not a power of two in range.
    case invalidAlignment
    /// Dimensions that are zero, too many, too large or not in whole blocks.
    case invalidDimensions
    /// A tensor type number that never existed.
    case unknownTensorType
    /// A tensor type that ggml has removed.
    case removedTensorType
    /// Tensor data at an offset that is not a multiple of the alignment.
    case misalignedTensor
    /// Tensor data that reaches past the end of the file.
    case tensorOutsideFile
    /// Two tensors share bytes.
    case overlappingTensors
    /// A metadata key that is needed and absent.
    case missingKey
    /// A metadata value of another type than the key calls for.
    case wrongType
    /// A file of a split model that is not where its name says.
    case missingShard
    /// Files of a split model that contradict each other or their names.
    case shardMismatch
    /// Tensor data handed to the writer that does not fill the tensor.
    case wrongDataLength
  }

  /// What kind of defect it is.
  public let code: Code
  /// The file as the user named it.
  public let path: String
  /// Bytes from the start of the file to the field at fault; nil when no single field is.
  public let offset: UInt64?
  /// The field, as in `metadata key 3 length`.
  public let field: String
  /// What was expected and found, and the next step if there is one.
  public let message: String

  /// An error of these parts.
  public init(_ code: Code, path: String, offset: UInt64?, field: String, message: String) {
    self.code = code
    self.path = path
    self.offset = offset
    self.field = field
    self.message = message
  }

  init(
    _ code: Code, path: String, offset: UInt64? = nil, field: String, expected: String,
    found: String, advice: String? = nil
  ) {
    let suffix = advice.map { "; \($0)" } ?? ""
    self.init(
      code, path: path, offset: offset, field: field,
      message: "expected \(expected), found \(found)\(suffix)")
  }

  /// `model.gguf: byte 24: metadata key 3 length: expected at most 65535 bytes, found 70000`
  public var description: String {
    let place = offset.map { "byte \($0): " } ?? ""
    return "\(path): \(place)\(field): \(message)"
  }
}

extension String {
  /// The text in single quotes, cut to 80 characters, with control, direction and invisible
  /// characters escaped: names from a file go to terminals and logs.
  package var quotedForMessage: String {
    var text = "'"
    for (index, scalar) in unicodeScalars.enumerated() {
      if index == 80 {
        text += "..."
        break
      }
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
        text += "\\u{\(String(scalar.value, radix: 16))}"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "'"
  }
}
