/// When the bytes of a slice are compared with their checksum.
public enum ReadVerification: String, Sendable, CaseIterable {
  /// On the first read of the slice in this process: damage on disk is found before it is used,
  /// and reading the slice again costs no more than the read.
  case first
  /// On every read: also finds memory and transfer errors.
  case always
  /// Never. Damage goes unnoticed.
  case off
}
