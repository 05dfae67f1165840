extension PackManifest {
  /// Bytes of a file name, as file systems have it, and of a path.
  static let (nameBytes, pathBytes) = (255, 4096)

  /// Names are joined to directories: those of sources must have no directories of their own, and no file
  /// may stand twice, for each is read.
  static func checkNames(
    sources: [Source], files: [PackedFile], path: String
  ) throws(PackError) {
    func invalid(_ message: String) -> PackError {
      PackError(.invalidManifest, path: path, message)
    }
    for source in sources {
      guard isFileName(source.name) else {
        throw invalid(
          "sources: expected a file name without directories, found \"\(source.name.prefix(64))\"")
      }
      guard
        source.path.map({ (1...pathBytes).contains($0.utf8.count) && !$0.contains("\0") }) ?? true
      else { throw invalid("sources: expected a path of 1 to \(pathBytes) bytes") }
    }
    var names: Set<String> = []
    for file in files {
      let parts = file.name.split(separator: "/", omittingEmptySubsequences: false)
      guard !parts.isEmpty, parts.allSatisfy({ isFileName(String($0)) }) else {
        throw invalid(
          "files: expected a name within the pack, found \"\(file.name.prefix(64))\"")
      }
      guard names.insert(file.name).inserted else {
        throw invalid("files: expected each once, found \"\(file.name)\" twice")
      }
    }
  }

  /// Whether `name` is that of a file, without directories: joined to one it stays in there.
  package static func isFileName(_ name: String) -> Bool {
    (1...nameBytes).contains(name.utf8.count) && name != "." && name != ".."
      && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 }
  }

  /// The files by their names, which ``parse(_:path:)`` has found to be different.
  var recordsByName: [String: PackedFile] {
    Dictionary(files.map { ($0.name, $0) }) { first, _ in first }
  }
}
