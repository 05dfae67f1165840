import ExpertStore
import FileIO
import Testing

@Suite("Disk activity")
struct DiskActivityTests {
  @Test("busy time and reads in flight are weighted by time, capped at the queue's depth")
  func weighted() {
    var meter = DiskMeter(at: 5)
    meter.depth = 3
    meter.add(2, demand: 0, at: 10)
    meter.add(4, demand: 1, at: 11)
    #expect(meter.activity(at: 12).busySeconds == 2)
    #expect(meter.activity(at: 12).readSeconds == 2 + 3)
    #expect(meter.activity(at: 12).demandSeconds == 1)
    meter.add(-5, demand: -1, at: 13)
    #expect(meter.isIdle)
    // Somebody waits for the last one by now.
    meter.add(0, demand: 1, at: 14)
    #expect(!meter.isIdle)
    meter.add(-1, demand: -1, at: 17)
    #expect(meter.takeMaximum() == 3)
    #expect(meter.takeMaximum() == 0)
    let activity = meter.activity(at: 100)
    #expect(activity.busySeconds == 7)
    #expect(activity.readSeconds == 2 + 6 + 4)
    #expect(activity.demandSeconds == 2 + 3)
    #expect(activity.meanReadsInFlight == 12.0 / 7)
    meter.add(1, demand: 0, at: 100)
    #expect(meter.takeMaximum() == 1)
    #expect(meter.takeMaximum() == 1)
    #expect(DiskActivity().meanReadsInFlight == 0)
  }

  @Test("bytes count for a stall by the share of their read's time that fell into it")
  func stalls() {
    var meter = DiskMeter(at: 0)
    meter.beginStall(at: 10)
    // Of 4 seconds 1 lies in the stall that is open.
    meter.deliver(400, seconds: 4, at: 11)
    #expect(meter.activity(at: 12).stallBytes == 100)
    #expect(meter.activity(at: 12).stallSeconds == 2)
    // A second user that stands still makes it no longer than it is.
    meter.beginStall(at: 12)
    meter.endStall(at: 13)
    meter.add(1, demand: 1, at: 13)
    #expect(meter.activity(at: 13).stallSeconds == 3)
    meter.endStall(at: 14)
    meter.beginStall(at: 20)
    meter.endStall(at: 21)
    #expect(meter.activity(at: 30).stallSeconds == 5)
    // 1 of the first stall, all of the second.
    meter.deliver(1000, seconds: 20, at: 33)
    #expect(meter.activity(at: 33).stallBytes == 100 + 100)
    meter.deliver(1000, seconds: 10, at: 40)
    #expect(meter.activity(at: 40).stallBytes == 200)
    #expect(meter.activity(at: 40).stallBytesPerSecond == 40)
    // More stalls than are remembered: the last ones count.
    for start in 100..<200 {
      meter.beginStall(at: Double(start))
      meter.endStall(at: Double(start) + 0.5)
    }
    meter.deliver(320, seconds: 32, at: 200)
    #expect(meter.activity(at: 200).stallBytes == 200 + 160)
    #expect(DiskActivity().stallBytesPerSecond == 0)
  }

  @Test(
    "a store's figures fit together, whatever the backend", arguments: SyntheticPack.readings)
  func store(_ reading: ReadSettings) throws {
    let pack = try SyntheticPack()
    let store = try pack.store(slots: 6, reading: reading)
    let start = ContinuousClock.now
    for request in ExpertStoreTests.requests {
      try pack.check(store, layer: request.layer, request.experts)
    }
    // Whoever asked has waited for every byte, so nothing is in flight.
    let elapsed = ContinuousClock.now - start
    let statistics = store.statistics
    #expect(statistics.disk.busySeconds > 0)
    #expect(statistics.disk.busySeconds <= elapsed / .seconds(1))
    #expect(statistics.disk.demandSeconds == statistics.disk.busySeconds)
    #expect(statistics.disk.meanReadsInFlight >= 1)
    #expect(statistics.disk.meanReadsInFlight <= Double(reading.depth))
    #expect((1...reading.depth).contains(store.takeMaximumReadsInFlight()))
    #expect(store.takeMaximumReadsInFlight() == 0)
    #expect(
      statistics.diskBytesPerSecond
        == Double(statistics.bytesRead) / statistics.disk.busySeconds)
    // Compute here takes no time, so the disk is all that it waits for.
    #expect(statistics.disk.stallSeconds > 0)
    #expect(statistics.disk.stallBytes > 0)
    #expect(statistics.disk.stallBytes <= Double(statistics.bytesRead))
    #expect(store.statistics == statistics)
  }
}
