import FileIO
import Foundation
import TestSupport
import Testing

@Suite("The probe of a disk")
struct ReadProbeTests {
  private static func sample(_ backend: ReadBackend, _ depth: Int, _ rate: Double)
    -> ReadProbe.Sample
  {
    ReadProbe.Sample(
      settings: ReadSettings(backend: backend, depth: depth, split: 4), bytesPerSecond: rate)
  }

  @Test("of the settings within 90 % of the best the one nearest to the usual depth is chosen")
  func choice() {
    func chosen(_ samples: [ReadProbe.Sample]) -> ReadSettings? {
      ReadProbe.choose(samples)?.settings
    }
    let all = [
      Self.sample(.pread, 1, 2900), Self.sample(.pread, 4, 2750), Self.sample(.uring, 4, 2800),
      Self.sample(.pread, 8, 2710), Self.sample(.uring, 8, 3000), Self.sample(.pread, 32, 2900),
    ]
    // The pool before the ring.
    #expect(chosen(all) == all[3].settings)
    // Unless it is clearly slower.
    #expect(chosen(all.filter { $0.settings != all[3].settings }) == all[4].settings)
    // Half the depth is as near as twice the depth; the pool and the faster win.
    let apart = [
      Self.sample(.pread, 4, 2800), Self.sample(.pread, 16, 2900), Self.sample(.uring, 16, 3000),
    ]
    #expect(chosen(apart) == apart[1].settings)
    // A disk that only deep queues fill gets one.
    let deep = [Self.sample(.pread, 8, 1000), Self.sample(.pread, 32, 2900)]
    #expect(chosen(deep) == deep[1].settings)
    #expect(chosen([]) == nil)
    #expect(chosen([Self.sample(.pread, 8, 0)]) == nil)
    #expect(chosen(Array(all.prefix(1)))?.depth == 1)
  }

  @Test("a probe ends in time, with a setting that works")
  func measure() throws {
    let harness = try ReadHarness(bytes: 8 << 20)
    let subject = ReadProbe.Subject(
      files: [(harness.file, UInt64(8 << 20))], recordBytes: 1 << 20)
    // A probe takes less than 200 ms, and gives none when others leave it none of that time: then it is
    // asked again, and one that the machine lets run ends in time.
    let samples = (0..<20).lazy.compactMap { _ -> ReadProbe.Sample? in
      let start = ContinuousClock.now
      let sample = ReadProbe.measure(subject)
      return ContinuousClock.now - start < .seconds(2) ? sample : nil
    }
    let sample = try #require(samples.first)
    #expect(sample.bytesPerSecond > 0)
    #expect(sample.settings.backend.isAvailable)
    #expect(ReadProbe.measure(.init(files: [], recordBytes: 4096)) == nil)
    #expect(
      ReadProbe.measure(.init(files: [(harness.file, UInt64(100))], recordBytes: 4096)) == nil)
  }

  @Test("a profile is kept for the device, and only what makes sense is taken back")
  func profile() throws {
    let harness = try ReadHarness()
    let home = harness.directory.file("cache/moepack")
    let profile = try #require(
      ReadProfile(file: harness.file, recordBytes: 5 << 20, directory: home))
    #expect(profile.kept == nil)
    let sample = Self.sample(.pread, 12, 3.5e9)
    profile.keep(sample)
    #expect(profile.kept == sample)
    let other = try #require(
      ReadProfile(file: harness.file, recordBytes: 64 << 10, directory: home))
    #expect(other.kept == nil)

    let good = String(decoding: try FileBytes.read(profile.path), as: UTF8.self)
    func isTaken(_ text: String) throws -> Bool {
      try Data(text.utf8).write(to: URL(filePath: profile.path))
      return profile.kept != nil
    }
    #expect(try isTaken(good))
    let changes = [
      ("\"depth\" : 12", "\"depth\" : 0"), ("\"depth\" : 12", "\"depth\" : 100000"),
      ("\"depth\" : 12", "\"depth\" : -1e300"), ("\"split\" : 4", "\"split\" : 3"),
      ("\"pread\"", "\"mmap\""), ("\"version\" : 2", "\"version\" : 1"),
      ("\"device\" : \"", "\"device\" : \"x"), ("\"measured_at\" : 1", "\"measured_at\" : -1"),
      ("\"measured_at\" : 1", "\"measured_at\" : 9"), ("3500000000", "0"),
      ("3500000000", "-1"), ("{", "["),
    ]
    for (old, new) in changes {
      #expect(good.contains(old), "\(old)")
      #expect(try !isTaken(good.replacing(old, with: new)), "\(new)")
    }
    #expect(try !isTaken(""))
    #expect(try !isTaken(String(repeating: "[", count: 4000)))
    #expect(try !isTaken(good + String(repeating: " ", count: 5000)))
    for end in stride(from: 0, to: good.utf8.count - 1, by: 7) {
      #expect(try !isTaken(String(good.prefix(end))))
    }
  }

  @Test("settings stay in their ranges")
  func ranges() {
    #expect(ReadSettings(backend: .pread, depth: 0, split: 0).depth == 1)
    #expect(ReadSettings(backend: .pread, depth: 1000, split: 3).depth == 64)
    #expect(ReadSettings(backend: .pread, depth: 8, split: 3).split == 2)
    #expect(ReadSettings(backend: .pread, depth: 8, split: 100).split == 8)
    #expect(ReadSettings(backend: .pread, depth: 8, split: 0).split == 1)
  }
}
