internal import ExpertPack
internal import FileIO
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
internal import GGUF
internal import Synchronization

/// Writes the damaged units of a packed directory's files of weights again, and nothing else.
struct WeightRepair {
  let pack: PackDirectory
  let source: RepairSource
  let threads: Int
  let progress: RepairProgress

  /// What is wrong with one file.
  private struct Damage {
    let part: PackPart
    /// Units whose bytes are wrong or not there.
    var units: Set<Int> = []
    /// What was found, and the units that each is about.
    var findings: [(PackFinding, Set<Int>)] = []
  }

  /// Repairs what `findings` of a verification name.
  func run(_ findings: [PackFinding], report: inout RepairReport) throws {
    var parts: [String: (part: PackPart, stored: Int)] = [:]
    for part in PackPart.parts(of: pack) {
      parts[part.file.name] = (part, 0)
      for (index, stored) in part.stored.enumerated() { parts[stored.name] = (part, index) }
    }
    var damages: [String: Damage] = [:]
    for finding in findings {
      guard let (part, stored) = parts[finding.file] else {
        report.leave(finding, reason(finding))
        continue
      }
      guard !finding.coversFile else {
        report.leave(
          finding,
          "every part of the file has its checksum, only the file's own differs; the memory may be "
            + "failing: verify again")
        continue
      }
      var damage = damages[part.file.name] ?? Damage(part: part)
      let units = Self.units(of: finding, in: part, stored: stored)
      damage.findings.append((finding, units))
      damage.units.formUnion(units)
      damages[part.file.name] = damage
    }
    guard !damages.isEmpty else { return }
    if var mismatch = source.mismatch(with: pack.source, pack.layout) {
      if pack.manifest.requantized != nil, source.pack == nil {
        mismatch +=
          "; the pack's types were changed when it was made: repair it from another copy of it, or from "
          + "what moepack export wrote of one"
      }
      for damage in damages.values {
        for (finding, _) in damage.findings { report.leave(finding, mismatch) }
      }
      return
    }
    progress.stage(
      "repairing", damages.values.reduce(0) { $0 + bytes($1.units, of: $1.part) })
    for name in damages.keys.sorted() {
      guard let damage = damages[name] else { continue }
      try repair(damage, report: &report)
    }
  }

  /// The units whose bytes `finding` says are wrong or not there.
  private static func units(of finding: PackFinding, in part: PackPart, stored: Int) -> Set<Int> {
    let file = part.stored[stored]
    switch finding.kind {
    case .extended: return []
    case .missing: return part.units(in: 0..<file.byteCount, ofStored: stored)
    default:
      let start = min(finding.offset, file.byteCount)
      let end = min(file.byteCount, start + min(finding.length, file.byteCount - start))
      return part.units(in: start..<end, ofStored: stored)
    }
  }

  /// Why a place that is in no file of weights stays as it is.
  private func reason(_ finding: PackFinding) -> String {
    let shards = pack.source.shards.map(\.path)
    guard pack.manifest.kind == .inPlace, shards.contains(finding.file) else {
      return "is none of the places that can be made again"
    }
    return
      "an in-place pack has its weights in the source itself, which repair never writes: restore "
      + "\(finding.file), then verify again"
  }

  private func bytes(_ units: Set<Int>, of part: PackPart) -> UInt64 {
    units.reduce(0) { $0 + UInt64(part.range($1).count) }
  }

  /// What became of each unit of a file.
  private struct Outcome {
    /// Units that could not be made, with the reason and whether the system gave it.
    var failed: [Int: (reason: String, isSystem: Bool)] = [:]
    var written: UInt64 = 0
  }

  private func repair(_ damage: Damage, report: inout RepairReport) throws {
    let part = damage.part
    guard part.stored.allSatisfy({ !Directory.isSymbolicLink($0.path) }) else {
      for (finding, _) in damage.findings {
        report.leave(
          finding,
          "is a symbolic link; repair writes only within the pack: repair where the file is, or "
            + "replace the link by the file")
      }
      return
    }
    let outcome = Mutex(Outcome())
    var failure: FileIOError?
    do {
      try write(damage, outcome: outcome)
    } catch let error as FileIOError {
      failure = error
    }
    let result = outcome.withLock { $0 }
    report.bytesWritten += result.written
    if let failure {
      for (finding, _) in damage.findings {
        report.leave(finding, "\(failure)", isSystemFailure: true)
      }
      return
    }
    // A missing file or a lost end is one finding about many units: those that failed are named alone.
    var named: Set<Int> = []
    for (finding, units) in damage.findings {
      let failed = units.intersection(result.failed.keys)
      if failed.isEmpty {
        report.repaired.append(finding)
        continue
      }
      for unit in failed.sorted() where named.insert(unit).inserted {
        guard let (reason, isSystem) = result.failed[unit] else { continue }
        report.leave(
          part.finding(finding.kind, unit: unit, finding.detail),
          reason, isSystemFailure: isSystem)
      }
    }
  }

  private func write(_ damage: Damage, outcome: borrowing Mutex<Outcome>) throws {
    let part = damage.part
    let isNew = part.stored.contains { !FileManager.default.fileExists(atPath: $0.path) }
    let file = try part.place.continuing(direct: false)
    try file.trim(to: part.file.byteCount)
    let failed = try make(damage, in: file)
    try file.synchronize()
    if isNew {
      for directory in [pack.path] + pack.volumes {
        try AtomicFile.synchronizeDirectory(directory)
      }
    }
    let again = try readBack(damage.units.subtracting(failed.keys), of: part)
    outcome.withLock {
      $0.failed = failed.merging(again) { first, _ in first }
      $0.written = bytes(damage.units.subtracting(failed.keys), of: part)
    }
    // Where the end could not be made, the file still gets its length: its other parts can be read.
    try file.resize(to: part.file.byteCount)
    try file.synchronize()
  }

  /// Units that are made together: those of an expert, or a block.
  private func groups(_ damage: Damage) -> [[Int]] {
    let units = damage.units.sorted()
    guard case .layer = damage.part.content else { return units.map { [$0] } }
    return Dictionary(grouping: units) { damage.part.place($0)?.expert ?? 0 }
      .sorted { $0.key < $1.key }.map(\.value)
  }

  /// Makes the units and writes those that have their checksum; returns the others.
  private func make(
    _ damage: Damage, in file: RecordFile
  ) throws -> [Int: (reason: String, isSystem: Bool)] {
    let part = damage.part
    let groups = groups(damage)
    let room: Int
    let scratch: Int
    switch part.content {
    case .resident: (room, scratch) = (part.unitBytes, part.unitBytes)
    case .layer(let layer, _):
      room = layer.geometry.recordStride
      scratch = RepairSource.recordRoom(layer)
    }
    let failed = Mutex<[Int: (reason: String, isSystem: Bool)]>([:])
    let buffers = BufferPool(byteCount: room)
    let count = max(1, min(threads, RepairSource.memoryBytes / max(scratch, 1)))
    try ParallelWork.forEach(groups.count, threads: count) { index in
      let units = groups[index]
      try buffers.withBuffer { buffer in
        do {
          try fill(buffer.bytes, with: units, of: part)
        } catch {
          // The source does not give these; it may give others.
          let lacks = (error as? FileIOError).map { $0.code == .endOfFile || $0.code == .notFound }
          failed.withLock { failed in
            for unit in units {
              failed[unit] = ("the source cannot be read: \(error)", lacks != true)
            }
          }
          return
        }
        for unit in units {
          let bytes = UnsafeRawBufferPointer(bytes(of: unit, in: buffer.bytes, part))
          progress.add(UInt64(bytes.count))
          let isRight = part.damage(unit: unit, bytes: bytes, table: pack.checksums) == nil
          guard isRight else {
            failed.withLock {
              $0[unit] = ("\(source.path) does not have these bytes: it differs there, too", false)
            }
            continue
          }
          try file.write(bytes, at: part.range(unit).lowerBound)
        }
      }
    }
    return failed.withLock { $0 }
  }

  /// Brings the content of `units`, which are one group, from the source.
  private func fill(
    _ buffer: UnsafeMutableRawBufferPointer, with units: [Int], of part: PackPart
  ) throws {
    guard case .layer(_, let position) = part.content,
      let expert = units.first.flatMap({ part.place($0)?.expert })
    else {
      for unit in units {
        let range = part.range(unit)
        try source.resident(range, into: buffer.part(0..<range.count))
      }
      return
    }
    try source.record(
      expert, position: position, slices: units.compactMap { part.place($0)?.slice }, into: buffer)
  }

  /// Where ``fill(_:with:of:)`` put the content of `unit`.
  private func bytes(
    of unit: Int, in buffer: UnsafeMutableRawBufferPointer, _ part: PackPart
  ) -> UnsafeMutableRawBufferPointer {
    let count = part.range(unit).count
    let start = (part.place(unit)?.slice ?? 0) * part.unitBytes
    return buffer.part(start..<start + count)
  }

  /// Reads units from the disk again; returns those that are not as they should be.
  private func readBack(
    _ units: Set<Int>, of part: PackPart
  ) throws -> [Int: (reason: String, isSystem: Bool)] {
    let file = try part.place.reading()
    let units = units.sorted()
    let failed = Mutex<[Int: (reason: String, isSystem: Bool)]>([:])
    let buffers = BufferPool(byteCount: part.unitBytes)
    let count = max(1, min(threads, RepairSource.memoryBytes / max(part.unitBytes, 1)))
    try ParallelWork.forEach(units.count, threads: count) { index in
      try buffers.withBuffer { buffer in
        let unit = units[index]
        let range = part.range(unit)
        let bytes = buffer.bytes.part(0..<range.count)
        do {
          try file.readExactly(into: bytes, at: range.lowerBound)
          let damage = part.damage(
            unit: unit, bytes: UnsafeRawBufferPointer(bytes), table: pack.checksums)
          guard damage != nil else { return }
          failed.withLock {
            $0[unit] = (
              "reads back otherwise than it was written; the disk or the memory is failing", true
            )
          }
        } catch {
          failed.withLock { $0[unit] = ("\(error)", true) }
        }
      }
    }
    return failed.withLock { $0 }
  }
}
