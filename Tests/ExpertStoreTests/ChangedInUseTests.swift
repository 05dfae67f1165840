import ExpertPack
import ExpertStore
import FileIO
import Foundation
import TestSupport
import Testing

@Suite("A pack that changes while a store has it open")
struct ChangedInUseTests {
  @Test(
    "every expert is the one that was opened, or an error that names the place",
    arguments: FileChange.allCases, [PackKind.packed, .inPlace])
  func changed(_ change: FileChange, kind: PackKind) throws {
    for backend in ReadBackend.allCases.filter(\.isAvailable) {
      let pack = try SyntheticPack(kind: kind)
      let store = try pack.store(
        slots: 2, reading: ReadSettings(backend: backend, depth: 3, split: 4))
      // All slices are proved once: from then on only the file's stamp tells of a change.
      for layer in 0..<3 { try pack.check(store, layer: layer, [0, 1, 2, 3, 4, 5]) }
      for path in Set(pack.pack.files.map(\.path)) { try change.apply(to: path) }
      var failures = 0
      for layer in 0..<3 {
        for expert in Int32(0)..<6 {
          do {
            try pack.check(store, layer: layer, [expert])
          } catch let error as ExpertStoreError {
            failures += 1
            let place = try #require(error.place)
            #expect(place.layer == layer && place.expert == Int(expert))
            #expect(error.code == .damaged)
          }
        }
      }
      if change.isHarmless {
        #expect(failures == 0, "\(backend)")
      } else if kind == .packed {
        // Nine of ten: the two experts in the slots are as they were read.
        #expect(failures >= (change == .truncated ? 10 : 16), "\(backend): \(failures)")
      } else {
        #expect(failures > 0, "\(backend)")
      }
    }
  }
}
