import ExpertPack
import Foundation
import FuzzSupport
import GGUF
import Packer

/// A striped pack over two directories beside it, and a third that is none of its volumes.
nonisolated(unsafe) private let place: FuzzPlace = {
  let source = demand { try Data(contentsOf: URL(filePath: "fixtures/pack/source.gguf")) }
  let place = FuzzPlace(files: ["source.gguf": source])
  place.others = ["one", "two"]
  for name in place.others {
    demand {
      try FileManager.default.createDirectory(
        atPath: place.path + "/" + name, withIntermediateDirectories: false)
    }
  }
  demand {
    try FileManager.default.removeItem(atPath: place.pack)
    try PackWriter(
      source: try GGUFFile.open(place.path + "/source.gguf"), kind: .packed, threads: 1
    ).write(
      to: place.pack, options: .init(stripe: place.others.map { place.path + "/" + $0 })
    ) { _ in }
  }
  for name in ["pack.moepack"] + place.others { place.take(place.path + "/" + name, as: name) }
  place.seal()
  return place
}()

/// What libFuzzer calls with each input: the list of a striped pack's volumes and, after bytes 0, the label
/// of the first one and its piece of a layer; what is not given is as it should be.
///
/// Volumes with the right labels may be written, and nothing else.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = Array(UnsafeBufferPointer(start: start, count: count))
  let parts = input.split(separator: 0, omittingEmptySubsequences: false).map { Data($0) }
  let names = [
    "volumes.txt", "../one/pack.moepack.volume-1/volume.txt",
    "../one/pack.moepack.volume-1/layer-000.experts",
  ]
  var files: [String: Data?] = [:]
  for (name, part) in zip(names, parts) where !part.isEmpty { files[name] = part }
  place.reset(files)
  FuzzLimits.hold { exercise(pack: place.pack, source: place.path + "/source.gguf") }
  place.check()
  return 0
}
