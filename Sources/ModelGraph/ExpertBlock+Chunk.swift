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

/// A chunk of a prompt: one expert after the other, by ascending id, each with all of its tokens, while
/// the next ones are read. Threads share the rows of its matrices.
extension ExpertBlock {
  /// The expert at work: its rows of input and where its output goes.
  private struct Job {
    let input: Activations  // [rows, hidden]
    let rows: Int
    /// Slices it has.
    let sliceCount: Int
    let target: UnsafeMutablePointer<Float>  // [tokens, hidden]
    /// First of its pairs; nil for the shared expert, which has a row a token.
    let firstPair: Int?
  }

  /// Computes the routed experts into `scratch.routed` and the shared one into `scratch.shared`.
  func computeChunk(
    _ run: Evaluation, _ input: Activations, routing: Routing, store: ExpertStore
  ) throws {
    let (scratch, hidden) = (run.scratch, run.config.hiddenSize)
    var isSharedDone = false
    try store.withExperts(layer: layer, experts: routing.experts) { index, expert in
      if !isSharedDone {
        run.forecast?.announce(after: layer, run, routing: routing)
        // Needs no read: computed while the first ones are under way.
        computeShared(run, input, routing: routing)
        memset(scratch.routed, 0, run.tokens * hidden * 4)
        isSharedDone = true
      }
      let pairs = Int(routing.starts[index])..<Int(routing.starts[index + 1])
      try routing.tokens.withUnsafeBufferPointer { tokens in
        let matrices = ExpertMatrices(try expert.slice(0))
        let job = Job(
          input: gather(
            pairs, of: tokens, input, for: matrices, into: scratch.gathered, run),
          rows: pairs.count, sliceCount: sliceCount, target: scratch.routed,
          firstPair: pairs.lowerBound)
        if let slices = expert.completeSlices {
          compute(job, 0..<sliceCount, run, routing: routing) { ExpertMatrices(slices[$0]) }
        } else {
          for slice in 0..<sliceCount {
            let matrices = ExpertMatrices(try expert.slice(slice))
            compute(job, slice..<slice + 1, run, routing: routing) { _ in matrices }
          }
        }
      }
    }
  }

  /// Has the store begin with the experts of `layer` if the chunk will use nearly all of them. With four
  /// tokens an expert on average, even choices leave out one expert in fifty.
  static func readAhead(layer: Int, _ run: Evaluation, store: ExpertStore) {
    let experts = run.config.experts
    let tokens = layer == run.config.layerCount - 1 ? run.outputTokens : run.tokens
    guard layer < run.config.layerCount, tokens > ExpertStore.largestSlicePass,
      tokens * experts.usedCount >= 4 * experts.count
    else { return }
    store.readAheadChunk(layer: layer)
  }

  private func computeShared(_ run: Evaluation, _ input: Activations, routing: Routing) {
    let scratch = run.scratch
    computeSharedWeights(run, input)
    memset(scratch.shared, 0, run.tokens * run.config.hiddenSize * 4)
    let job = Job(
      input: input, rows: run.tokens, sliceCount: shared.count, target: scratch.shared,
      firstPair: nil)
    compute(job, 0..<shared.count, run, routing: routing) { shared[$0] }
  }

  /// Computes `slices` of the job's expert; after the last one its weighted output joins the target.
  private func compute(
    _ job: Job, _ slices: Range<Int>, _ run: Evaluation, routing: Routing,
    _ matrices: (_ slice: Int) -> ExpertMatrices
  ) {
    let first = matrices(slices.lowerBound)
    let size = first.up.rows
    multiplyUp(job, slices, size: size, run, matrices)
    activate(
      rows: slices.count * job.rows, size: size,
      isQuantized: run.kernels.takesQuantized(first.down.type, columns: size), run)
    multiplyDown(job, slices, size: size, run, routing: routing, matrices)
  }

  /// `scratch.expertGate` and `expertUp`, `[slices, rows, size]`, of the job's input.
  private func multiplyUp(
    _ job: Job, _ slices: Range<Int>, size: Int, _ run: Evaluation,
    _ matrices: (_ slice: Int) -> ExpertMatrices
  ) {
    let (scratch, kernels, hidden) = (run.scratch, run.kernels, run.config.hiddenSize)
    // A share of 64 Ki multiply-adds takes about ten times as long as handing it out.
    let block = KernelSet.rowBlock(tokens: job.rows)
    let blocks = (size + block - 1) / block
    let grain = max(1, (32 << 10) / max(1, hidden * job.rows * block))
    run.pool.forEach(slices.count * blocks, grain: grain) { range in
      var number = range.lowerBound
      while number < range.upperBound {
        let index = number / blocks
        let end = min(blocks, number % blocks + range.upperBound - number)
        let part = number % blocks * block..<min(size, end * block)
        let slice = matrices(slices.lowerBound + index)
        let place = index * job.rows * size + part.lowerBound
        kernels.multiply(
          slice.gate.rows(part), job.input, tokens: job.rows, into: scratch.expertGate + place,
          outStride: size)
        kernels.multiply(
          slice.up.rows(part), job.input, tokens: job.rows, into: scratch.expertUp + place,
          outStride: size)
        number += end - number % blocks
      }
    }
  }

  /// `gate = silu(gate) * up` for `rows` rows of `size`, and the same quantised to
  /// `scratch.quantizedInner` if it is wanted.
  private func activate(rows: Int, size: Int, isQuantized: Bool, _ run: Evaluation) {
    let (gate, up) = (run.scratch.expertGate, run.scratch.expertUp)
    let bytes = run.kernels.quantizedByteCount(columns: size)
    run.pool.forEach(rows, grain: max(1, 8192 / size)) { range in
      for row in range {
        run.kernels.siluMultiply(
          gate + row * size, up + row * size, into: gate + row * size, count: size)
      }
      guard isQuantized else { return }
      run.kernels.quantize(
        gate + range.lowerBound * size, stride: size, columns: size, tokens: range.count,
        precision: run.precision, into: run.scratch.quantizedInner + range.lowerBound * bytes)
    }
  }

  /// Sums the slices' outputs in `scratch.expertOutput`, in their order. A block of columns has its `[rows, width]`
  /// in one piece, as what lies `hidden` floats apart falls into few sets of the cache.
  private func multiplyDown(
    _ job: Job, _ slices: Range<Int>, size: Int, _ run: Evaluation, routing: Routing,
    _ matrices: (_ slice: Int) -> ExpertMatrices
  ) {
    let bytes = run.kernels.quantizedByteCount(columns: size)
    forEachColumns(run, cost: size * slices.count * job.rows) { columns in
      // Every block of the range has its turn in the same place, which stays in the first cache.
      let partial = run.scratch.partial + columns.lowerBound * job.rows
      for start in stride(from: columns.lowerBound, to: columns.upperBound, by: Self.columnBlock) {
        let block = start..<min(start + Self.columnBlock, columns.upperBound)
        let out = run.scratch.expertOutput + start * job.rows
        for index in slices {
          let first = (index - slices.lowerBound) * job.rows
          let inner = Activations(
            run.scratch.expertGate + first * size, stride: size,
            quantized: bytes > 0
              ? UnsafeRawPointer(run.scratch.quantizedInner + first * bytes) : nil,
            precision: job.input.precision)
          run.kernels.multiply(
            matrices(index).down.rows(block), inner, tokens: job.rows,
            into: index == 0 ? out : partial, outStride: block.count)
          if index > 0 { run.kernels.add(out, partial, count: job.rows * block.count) }
        }
        if slices.upperBound == job.sliceCount {
          addWeighted(out, of: job, columns: block, run, routing: routing)
        }
      }
    }
  }

  /// Adds the job's output for `columns`, `[rows, columns]`, to its target by its tokens' weights.
  private func addWeighted(
    _ output: UnsafeMutablePointer<Float>, of job: Job, columns: Range<Int>, _ run: Evaluation,
    routing: Routing
  ) {
    let (scratch, hidden) = (run.scratch, run.config.hiddenSize)
    for row in 0..<job.rows {
      let pair = job.firstPair.map { $0 + row }
      let token = pair.map { Int(routing.tokens[$0]) } ?? row
      let weight =
        pair.map { scratch.weights[Int(routing.ranks[$0])] } ?? scratch.sharedWeight[row]
      run.kernels.addScaled(
        job.target + token * hidden + columns.lowerBound, weight, output + row * columns.count,
        count: columns.count)
    }
  }
}
