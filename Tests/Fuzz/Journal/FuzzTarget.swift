import ExpertPack
import FileIO
import Foundation
import FuzzSupport
import GGUF
import Packer

nonisolated(unsafe) private let place: FuzzPlace = {
  let source = demand { try Data(contentsOf: URL(filePath: "fixtures/pack/source.gguf")) }
  let place = FuzzPlace(files: ["source.gguf": source])
  place.take("fixtures/pack/golden.moepack")
  place.keep(nil, as: "manifest.json")
  place.keep(nil, as: "checksums.xxh3")
  place.seal()
  return place
}()

/// What libFuzzer calls with each input: the content of a conversion's journal, which gets the digest that
/// its bytes have, in a directory with the weights of the golden pack. An input that begins with a `#` is
/// the whole file, the `#` aside.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = Array(UnsafeBufferPointer(start: start, count: count))
  let digest = input.withUnsafeBytes { XXH3.hash128($0) }
  let file =
    input.first == UInt8(ascii: "#")
    ? Data(input.dropFirst())
    : Data("moepack conversion journal 1, xxh3-128 \(digest)\n".utf8) + Data(input)
  place.reset(["convert.journal": file])
  let source = place.path + "/source.gguf"
  FuzzLimits.hold {
    expectNamed {
      let unfinished = try UnfinishedPack.find(in: place.pack)
      precondition(unfinished?.summary.isEmpty != true)
      let opened = try unfinished?.source(source) ?? GGUFFile.open(source)
      try PackWriter(source: opened, kind: .packed, threads: 1).write(
        to: place.pack, options: .init(existing: .resume)
      ) { _ in }
    }
  }
  place.check()
  return 0
}
