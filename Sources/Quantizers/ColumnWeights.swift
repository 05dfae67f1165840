/// How much an error in each column of a matrix counts: from the mean squares of the activations that meet
/// the columns.
///
/// The expected squared error of a product with activations a is the sum of E[a_i^2] (w_i - q_i)^2 over
/// the columns, as far as activations are independent. The mean squares come from a limited text, so a quarter of
/// their mean is added to each: that costs at most 1 % of the weighted error, and keeps the error that is not
/// weighted from growing in columns that the text happened not to use.
public struct ColumnWeights: Sendable {
  /// Relative weight of every column, mean 1.25: `[columns]`.
  let values: [Float]

  private static let share = 0.25

  /// Weights from the mean square of the activation of each column, `[columns]`; nil when all are 0, which
  /// says nothing. Traps on values that are negative or not finite.
  public init?(meanSquares: [Float]) {
    precondition(
      meanSquares.allSatisfy { $0 >= 0 && $0.isFinite }, "mean squares are not negative")
    let mean = meanSquares.reduce(0) { $0 + Double($1) } / Double(max(1, meanSquares.count))
    guard mean > 0 else { return nil }
    values = meanSquares.map { Float(Double($0) / mean + Self.share) }
  }

  /// Number of columns.
  public var columns: Int { values.count }
}
