import FileIO
import GGUF
import GGUFTestSupport
import Tensors
import Testing

/// Where tensor data may lie.
@Suite struct TensorPlacementTests {
  /// A header with byte tensors of these places and sizes, alignment 1.
  private func header(_ places: [(offset: UInt64, size: UInt64)]) -> HeaderBuilder {
    var header = HeaderBuilder(tensors: UInt64(places.count), metadata: 1)
    header.key("general.alignment", .uint32)
    header.integer(UInt32(1))
    for (index, place) in places.enumerated() {
      header.tensor("t\(index)", dimensions: [place.size], offset: place.offset)
    }
    return header
  }

  @Test("V04 a tensor is accepted exactly when offset plus size is at most the data section")
  func bounds() throws {
    for offset: UInt64 in [0, 1, 15, 16, 17, 18, 1 << 31, 1 << 32, 1 << 63, .max - 1, .max] {
      for size: UInt64 in [1, 2, 15, 16, 17, 18, 1 << 31, 1 << 32, (1 << 63) - 1] {
        let header = header([(offset, size)])
        let section: UInt64 = 17
        let (end, overflow) = offset.addingReportingOverflow(size)
        let fits = !overflow && end <= section
        let error = try ggufError { _ = try header.parse(fileSize: header.offset + section) }
        #expect((error == nil) == fits, "\(size) at \(offset)")
        if let error {
          #expect(error.code == .tensorOutsideFile)
          #expect(error.offset == header.offset - 8)
        }
      }
    }
  }

  @Test("V04 two tensors are accepted exactly when they share no byte")
  func overlap() throws {
    for offset: UInt64 in 0...14 {
      for size: UInt64 in 1...14 {
        for swapped in [false, true] {
          let fixed = (offset: UInt64(5), size: UInt64(4))
          let places = swapped ? [(offset, size), fixed] : [fixed, (offset, size)]
          let header = header(places)
          let disjoint = offset + size <= 5 || offset >= 9
          let error = try ggufError { _ = try header.parse(fileSize: header.offset + 64) }
          #expect((error == nil) == disjoint, "\(size) at \(offset)")
          #expect(error == nil || error?.code == .overlappingTensors)
        }
      }
    }
  }

  @Test("V04 bytes that no read has filled never become part of a header")
  func poison() throws {
    let (bytes, fileSize) = try sampleHeader()
    for longest in [1, 7, 64, 4096] {
      let header = try GGUFHeader.parse(path: "p.gguf", fileSize: fileSize, shard: 0) {
        buffer, offset in
        // Reads stop short and leave the rest of the room full of poison.
        _ = buffer.initializeMemory(as: UInt8.self, repeating: 0xA5)
        let count = min(longest, buffer.count, bytes.count - Int(offset))
        for index in 0..<max(0, count) { buffer[index] = bytes[Int(offset) + index] }
        return max(0, count)
      }
      #expect(byteArray(header.bytes) == bytes)
    }
  }

  @Test("removed types are refused by name, unknown ones by number, all others accepted")
  func types() throws {
    for id in Array(0...60) + [UInt32.max] {
      var header = HeaderBuilder(tensors: 1)
      let type = TensorType(id: id)
      header.tensor("w", type: id, dimensions: [UInt64(type?.blockSize ?? 32)])
      header.pad()
      let error = try ggufError { _ = try header.parse(fileSize: header.offset + 4096) }
      if type != nil {
        #expect(error == nil)
      } else if let name = TensorType.removedName(id: id) {
        #expect(error?.code == .removedTensorType && error?.message.contains(name) == true)
      } else {
        #expect(error?.code == .unknownTensorType)
        #expect(error?.message.contains("found \(id);") == true)
      }
    }
  }
}
