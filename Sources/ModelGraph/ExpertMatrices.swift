internal import ExpertStore
internal import Tensors

/// One compute slice of an expert: `y += down * (silu(gate * x) * (up * x))`.
struct ExpertMatrices {
  /// `[I / slices, hidden]`
  let gate: MatrixView
  /// `[I / slices, hidden]`
  let up: MatrixView
  /// `[hidden, I / slices]`
  let down: MatrixView

  /// Slices of an expert, and outputs to sum, at most.
  static let largestSliceCount = 4

  /// The slice of a routed expert.
  init(_ slice: ExpertSlice) {
    guard let gate = slice.gate else {
      preconditionFailure("a model whose experts have no gate is refused when it is loaded")
    }
    self.gate = gate
    up = slice.up
    down = slice.down
  }

  private init(gate: MatrixView, up: MatrixView, down: MatrixView) {
    self.gate = gate
    self.up = up
    self.down = down
  }

  /// The shared expert of a layer in slices of its own, as many as routed experts have if the blocks
  /// of its down matrix allow it: so it is work for several threads that need not wait for each other.
  static func shared(_ weights: ExpertBlockWeights) -> [ExpertMatrices] {
    let (rows, block) = (weights.sharedDown.columns, weights.sharedDown.type.blockSize)
    let count = [largestSliceCount, 2].first { rows % ($0 * block) == 0 } ?? 1
    return (0..<count).map { index in
      let part = rows / count * index..<rows / count * (index + 1)
      return ExpertMatrices(
        gate: weights.sharedGate.rows(part), up: weights.sharedUp.rows(part),
        down: weights.sharedDown.columns(part))
    }
  }
}
