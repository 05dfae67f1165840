internal import FileIO
package import Foundation

/// A directory for what a fuzz target reads and writes, in memory where the system has a place for that:
/// `pack.moepack` in it may change, everything beside it must stay as it is.
package final class FuzzPlace {
  /// The directory.
  package let path: String
  /// The only thing in it that code under test may write.
  package var pack: String { path + "/pack.moepack" }
  /// Directories that may be written, too.
  package var others: [String] = []
  private var content: [String: Data] = [:]
  private var witness: [String: Data] = [:]

  /// A place with `files` beside the pack, by name.
  package init(files: [String: Data] = [:]) {
    let base = Directory.exists("/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
    path = base + "/moepack-fuzz-\(ProcessInfo.processInfo.processIdentifier)"
    try? FileManager.default.removeItem(atPath: path)
    demand {
      try FileManager.default.createDirectory(atPath: pack, withIntermediateDirectories: true)
    }
    for (name, data) in files { write(data, path + "/" + name) }
    // What names that lead out of the pack would find.
    for name in ["resident.bin", "layer-000.experts", "headers/00001.gguf.zst"] {
      write(Data("beside the pack".utf8), path + "/" + name)
    }
    Self.removal = path
    atexit { try? FileManager.default.removeItem(atPath: FuzzPlace.removal) }
  }

  nonisolated(unsafe) private static var removal = ""

  /// Takes what lies beside the pack now for what has to stay.
  package func seal() {
    witness = Dictionary(
      uniqueKeysWithValues: outside().map {
        ($0, (try? Data(contentsOf: URL(filePath: path + "/" + $0))) ?? Data())
      })
  }

  /// Takes the content of `directory` for that of the pack, or of the directory `other` in the place.
  package func take(_ directory: String, as other: String = "pack.moepack") {
    for name in files(below: directory) {
      content[other + "/" + name] = demand {
        try Data(contentsOf: URL(filePath: directory + "/" + name))
      }
    }
  }

  /// Sets a file of the pack for good.
  package func keep(_ data: Data?, as name: String) { content["pack.moepack/" + name] = data }

  /// Puts the pack back as it was taken, with `files` in it instead of its own; nil for one that is missing.
  /// Names in other directories that may be written begin with `../`.
  package func reset(_ files: [String: Data?]) {
    var wanted = content
    for (name, data) in files {
      wanted[name.hasPrefix("../") ? String(name.dropFirst(3)) : "pack.moepack/" + name] = data
    }
    for folder in ["pack.moepack"] + others {
      for name in self.files(below: path + "/" + folder) where wanted[folder + "/" + name] == nil {
        demand { try FileManager.default.removeItem(atPath: path + "/" + folder + "/" + name) }
      }
    }
    for (name, data) in wanted {
      if (try? Data(contentsOf: URL(filePath: path + "/" + name))) != data {
        write(data, path + "/" + name)
      }
    }
  }

  /// Traps when anything beside the pack was written, made or removed.
  package func check() {
    let names = outside()
    precondition(Set(names) == Set(witness.keys), "files beside the pack: \(names.sorted())")
    for name in names {
      precondition(
        (try? Data(contentsOf: URL(filePath: path + "/" + name))) == witness[name],
        "\(name) beside the pack was written")
    }
  }

  private func outside() -> [String] {
    files(below: path).filter { name in
      !(["pack.moepack"] + others).contains { name.hasPrefix($0 + "/") }
    }
  }

  private func files(below directory: String) -> [String] {
    (FileManager.default.enumerator(atPath: directory)?.allObjects as? [String] ?? []).filter {
      !Directory.exists(directory + "/" + $0)
    }
  }

  private func write(_ data: Data, _ file: String) {
    demand {
      try FileManager.default.createDirectory(
        atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try data.write(to: URL(filePath: file))
    }
  }
}

/// The value of `body`, which must not fail: it is the target's own work.
@discardableResult
package func demand<Value>(_ body: () throws -> Value) -> Value {
  do { return try body() } catch { fatalError("the fuzz target itself: \(error)") }
}

/// The digest that a writer would give a manifest, put in its place, so that damage gets past it.
package func signed(manifest text: String) -> String {
  let opening = "\"digest\": \""
  guard let start = text.range(of: opening)?.upperBound,
    let end = text[start...].firstIndex(of: "\""),
    text.distance(from: start, to: end) == 32
  else { return text }
  let blank = text.replacingCharacters(in: start..<end, with: String(repeating: "0", count: 32))
  let digest = Array(blank.utf8).withUnsafeBytes { XXH3.hash128($0) }
  return text.replacingCharacters(in: start..<end, with: digest.description)
}
