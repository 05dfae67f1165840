extension RoutingTrace {
  /// The trace as CSV, in the format that ``init(csv:path:)`` reads.
  public var csv: [UInt8] {
    var text = [UInt8]()
    func line(_ content: String) {
      text.append(contentsOf: content.utf8)
      text.append(0x0A)
    }
    line(Self.signature)
    line(
      "# model=\(model) arch=\(architecture) n_layer=\(layers.count) n_expert=\(expertCount) "
        + "n_expert_used=\(usedCount)" + (batch.map { " n_batch=\($0)" } ?? ""))
    for (index, layer) in layers.enumerated() {
      line("# layer=\(index) expert_bytes=\(layer.expertBytes) dense_bytes=\(layer.denseBytes)")
    }
    line(Self.columns)
    for route in routes {
      let start = "\(route.turn),\(route.phase.rawValue),\(route.step),\(route.layer)"
      for (slot, index) in route.choices.enumerated() {
        let choice = choices[index]
        line(
          "\(start),\(slot),\(choice.expert),\(choice.weight),\(choice.isResident ? 1 : 0),"
            + "\(choice.bytesRead)")
      }
    }
    return text
  }
}
