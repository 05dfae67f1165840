internal import ExpertStore
internal import Kernels
internal import Tensors
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A few tokens: every thread takes the next slice that is there, computes it alone and puts its
/// output in a place of its own; when all are done the outputs are summed in their order.
extension ExpertBlock {
  /// Computes the routed experts into `scratch.routed` and the shared one into `scratch.shared`.
  func computeSlices(
    _ run: Evaluation, _ input: Activations, routing: Routing, feed: SliceFeed
  ) throws {
    try feed.serve(layer: layer, experts: routing.experts, ownWork: shared.count) {
      run.forecast?.announce(after: layer, run, routing: routing)
      computeSharedWeights(run, input)
      run.pool.forEach(run.pool.threads, grain: 1) { _ in
        var work = feed.next(after: nil)
        while let unit = work {
          compute(unit, input, run, routing: routing)
          work = feed.next(after: unit)
        }
      }
    }
    sum(run, routing: routing)
  }

  /// Computes a slice for all tokens of its expert, on this thread.
  private func compute(
    _ unit: SliceFeed.Work, _ input: Activations, _ run: Evaluation, routing: Routing
  ) {
    let first = run.tokens * run.config.experts.usedCount
    guard let slice = unit.slice, let position = unit.position else {
      let out = output(slice: unit.index, row: first, run)
      return compute(
        shared[unit.index], index: unit.index, input: input, rows: first..<first + run.tokens,
        into: out, run)
    }
    let rows = Int(routing.starts[position])..<Int(routing.starts[position + 1])
    let out = output(slice: unit.index, row: rows.lowerBound, run)
    let matrices = ExpertMatrices(slice)
    routing.tokens.withUnsafeBufferPointer { tokens in
      // The place of the output is free until down is computed.
      let own = gather(rows, of: tokens, input, for: matrices, into: out, run)
      compute(matrices, index: unit.index, input: own, rows: rows, into: out, run)
    }
  }

  /// `out = down * (silu(gate * input) * (up * input))`; `input` and `out` are `[rows, hidden]`.
  private func compute(
    _ slice: ExpertMatrices, index: Int, input: Activations, rows: Range<Int>,
    into out: UnsafeMutablePointer<Float>, _ run: Evaluation
  ) {
    let (kernels, hidden, size) = (run.kernels, run.config.hiddenSize, slice.up.rows)
    let place =
      rows.lowerBound * run.config.experts.largestIntermediateSize + index * rows.count * size
    let (gate, up) = (run.scratch.sliceGate + place, run.scratch.sliceUp + place)
    kernels.multiply(slice.gate, input, tokens: rows.count, into: gate, outStride: size)
    kernels.multiply(slice.up, input, tokens: rows.count, into: up, outStride: size)
    for row in 0..<rows.count {
      kernels.siluMultiply(gate + row * size, up + row * size, into: gate + row * size, count: size)
    }
    var inner = Activations(gate, stride: size, precision: input.precision)
    if kernels.takesQuantized(slice.down.type, columns: size) {
      // Quantised rows are shorter than floats, and `up` is used up.
      precondition(kernels.quantizedByteCount(columns: size) <= size * 4)
      kernels.quantize(
        gate, stride: size, columns: size, tokens: rows.count, precision: input.precision,
        into: up)
      inner.quantized = UnsafeRawPointer(up)
    }
    kernels.multiply(slice.down, inner, tokens: rows.count, into: out, outStride: hidden)
  }

  /// Sums slices by their index and experts by their id, a range of columns a thread.
  private func sum(_ run: Evaluation, routing: Routing) {
    let (scratch, hidden) = (run.scratch, run.config.hiddenSize)
    let pairs = run.tokens * run.config.experts.usedCount
    forEachColumns(run, cost: pairs * sliceCount + run.tokens * shared.count) { columns in
      let (first, bytes) = (columns.lowerBound, columns.count * 4)
      for token in 0..<run.tokens {
        memset(scratch.routed + token * hidden + first, 0, bytes)
        memset(scratch.shared + token * hidden + first, 0, bytes)
      }
      for pair in 0..<pairs {
        addRow(
          pair, slices: sliceCount, weight: scratch.weights[Int(routing.ranks[pair])],
          to: scratch.routed + Int(routing.tokens[pair]) * hidden, columns, run)
      }
      for token in 0..<run.tokens {
        addRow(
          pairs + token, slices: shared.count, weight: scratch.sharedWeight[token],
          to: scratch.shared + token * hidden, columns, run)
      }
    }
  }

  private func addRow(
    _ row: Int, slices: Int, weight: Float, to out: UnsafeMutablePointer<Float>,
    _ columns: Range<Int>, _ run: Evaluation
  ) {
    let sum = output(slice: 0, row: row, run) + columns.lowerBound
    for slice in 1..<max(1, slices) {
      run.kernels.add(
        sum, output(slice: slice, row: row, run) + columns.lowerBound, count: columns.count)
    }
    run.kernels.addScaled(out + columns.lowerBound, weight, sum, count: columns.count)
  }

  /// Where the output of a slice begins for row `row`: a pair, or behind all pairs a token of the
  /// shared expert.
  private func output(slice: Int, row: Int, _ run: Evaluation) -> UnsafeMutablePointer<Float> {
    let rows = run.tokens * (run.config.experts.usedCount + 1)
    return run.scratch.sliceOutput + (slice * rows + row) * run.config.hiddenSize
  }
}
