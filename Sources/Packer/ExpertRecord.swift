internal import ExpertPack

/// Moves one expert between its matrices as the source stores them and its record of slices.
///
/// Rows of gate and up go to their slice in one piece; of down every row is cut, a piece a slice.
struct ExpertRecord {
  let layer: ExpertLayer

  /// Bytes of the expert's matrices one after the other, in the order of `layer.sources`.
  var sourceBytes: Int { layer.sources.reduce(0) { $0 + $1.byteCount } }

  /// Cuts the matrices of an expert, one of each of `layer.sources`, into `record` (`recordStride`
  /// bytes, padding included).
  func slice(_ matrices: [UnsafeRawBufferPointer], into record: UnsafeMutableRawBufferPointer) {
    let geometry = layer.geometry
    precondition(record.count == geometry.recordStride && matrices.count == layer.sources.count)
    for (source, matrix) in zip(layer.sources, matrices) {
      precondition(matrix.count == source.byteCount)
    }
    forEachPiece { source, sourceOffset, recordOffset, piece in
      guard let from = matrices[source].baseAddress, let to = record.baseAddress else { return }
      Self.copy(
        piece, from: from + sourceOffset, step: piece.sourceStep, to: to + recordOffset,
        step: piece.count)
    }
    for slice in 0..<geometry.computeSlices {
      record.part(
        slice * geometry.sliceStride + geometry.sliceBytes..<(slice + 1) * geometry.sliceStride
      ).initializeMemory(as: UInt8.self, repeating: 0)
    }
  }

  /// Joins the slices of `record` into `matrices`; the inverse of ``slice(_:into:)``.
  func join(_ record: UnsafeRawBufferPointer, into matrices: UnsafeMutableRawBufferPointer) {
    precondition(matrices.count == sourceBytes && record.count == layer.geometry.recordStride)
    let starts = layer.sources.indices.map { index in
      layer.sources[..<index].reduce(0) { $0 + $1.byteCount }
    }
    forEachPiece { source, sourceOffset, recordOffset, piece in
      guard let from = record.baseAddress, let to = matrices.baseAddress else { return }
      Self.copy(
        piece, from: from + recordOffset, step: piece.count, to: to + starts[source] + sourceOffset,
        step: piece.sourceStep)
    }
  }

  /// Rows of equal length, one after the other in a record and evenly apart in a matrix.
  private struct Piece {
    /// Bytes of a row.
    let count: Int
    let rows: Int
    /// Bytes from row to row in the matrix.
    let sourceStep: Int
  }

  private static func copy(
    _ piece: Piece, from source: UnsafeRawPointer, step sourceStep: Int,
    to target: UnsafeMutableRawPointer, step targetStep: Int
  ) {
    for row in 0..<piece.rows {
      (target + row * targetStep).copyMemory(
        from: source + row * sourceStep, byteCount: piece.count)
    }
  }

  /// Where the matrix of `role` begins: index of its source, and offset there in an expert's part.
  static func place(of role: ExpertRole, in layer: ExpertLayer) -> (source: Int, offset: Int)? {
    if let index = layer.sources.firstIndex(where: { $0.role == role }) { return (index, 0) }
    guard role != .down, let fused = layer.sources.firstIndex(where: { $0.role == .gateUp }) else {
      return nil
    }
    return (fused, role == .gate ? 0 : layer.sources[fused].byteCount / 2)
  }

  /// Calls `body` with every piece: index of the source, offset in its matrix, offset in the record.
  private func forEachPiece(_ body: (Int, Int, Int, Piece) -> Void) {
    let geometry = layer.geometry
    for component in geometry.components {
      guard let place = Self.place(of: component.role, in: layer) else {
        preconditionFailure("every component comes from a source")
      }
      for slice in 0..<geometry.computeSlices {
        let target = slice * geometry.sliceStride + component.offset
        if component.role == .down {
          let rowBytes = component.rowBytes
          body(
            place.source, place.offset + slice * rowBytes, target,
            Piece(
              count: rowBytes, rows: component.rows,
              sourceStep: rowBytes * geometry.computeSlices))
        } else {
          let count = component.byteCount
          body(
            place.source, place.offset + slice * count, target,
            Piece(count: count, rows: 1, sourceStep: count))
        }
      }
    }
  }
}
