import Foundation
import FuzzSupport

nonisolated(unsafe) private let place: FuzzPlace = {
  let source = demand { try Data(contentsOf: URL(filePath: "fixtures/pack/source.gguf")) }
  let place = FuzzPlace(files: ["source.gguf": source])
  place.take("fixtures/pack/golden.moepack")
  place.seal()
  return place
}()

/// What libFuzzer calls with each input: a manifest, which gets the digest that its bytes have, so that
/// it is judged by what it says, in a directory with the files of the golden pack.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = Array(UnsafeBufferPointer(start: start, count: count))
  let text = String(validating: input, as: UTF8.self).map { Data(signed(manifest: $0).utf8) }
  place.reset(["manifest.json": text ?? Data(input)])
  FuzzLimits.hold { exercise(pack: place.pack, source: place.path + "/source.gguf") }
  place.check()
  return 0
}
