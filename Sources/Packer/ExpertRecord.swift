internal import ExpertPack

/// Moves one expert between its matrices as the source stores them and its record of slices.
///
/// Rows of gate and up go to their slice in one piece; of down every row is cut, a piece a slice.
struct ExpertRecord {
  let layer: ExpertLayer

  /// Bytes of the expert's matrices one after the other, in the order of `layer.sources`.
  var sourceBytes: Int { layer.sources.reduce(0) { $0 + $1.byteCount } }

  /// Cuts `matrices` (``sourceBytes`` bytes) into `record` (`recordStride` bytes, zero before).
  func slice(_ matrices: UnsafeRawBufferPointer, into record: UnsafeMutableRawBufferPointer) {
    precondition(matrices.count == sourceBytes && record.count == layer.geometry.recordStride)
    forEachPiece { sourceOffset, recordOffset, count in
      UnsafeMutableRawBufferPointer(rebasing: record[recordOffset..<recordOffset + count])
        .copyMemory(
          from: UnsafeRawBufferPointer(rebasing: matrices[sourceOffset..<sourceOffset + count]))
    }
  }

  /// Joins the slices of `record` into `matrices`; the inverse of ``slice(_:into:)``.
  func join(_ record: UnsafeRawBufferPointer, into matrices: UnsafeMutableRawBufferPointer) {
    precondition(matrices.count == sourceBytes && record.count == layer.geometry.recordStride)
    forEachPiece { sourceOffset, recordOffset, count in
      UnsafeMutableRawBufferPointer(rebasing: matrices[sourceOffset..<sourceOffset + count])
        .copyMemory(
          from: UnsafeRawBufferPointer(rebasing: record[recordOffset..<recordOffset + count]))
    }
  }

  /// Calls `body` with every contiguous piece: offset among the matrices, offset in the record,
  /// bytes.
  private func forEachPiece(_ body: (Int, Int, Int) -> Void) {
    let geometry = layer.geometry
    var starts: [ExpertRole: Int] = [:]
    var end = 0
    for source in layer.sources {
      starts[source.role] = end
      if source.role == .gateUp {
        starts[.gate] = end
        starts[.up] = end + source.byteCount / 2
      }
      end += source.byteCount
    }
    for component in geometry.components {
      guard let start = starts[component.role] else {
        preconditionFailure("every component comes from a source")
      }
      for slice in 0..<geometry.computeSlices {
        let target = slice * geometry.sliceStride + component.offset
        guard component.role == .down else {
          body(start + slice * component.byteCount, target, component.byteCount)
          continue
        }
        let rowBytes = component.rowBytes
        for row in 0..<component.rows {
          body(
            start + (row * geometry.computeSlices + slice) * rowBytes, target + row * rowBytes,
            rowBytes)
        }
      }
    }
  }
}
