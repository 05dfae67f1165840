import Kernels
import Testing

@Suite struct InstructionSetTests {
  @Test("The best available set is taken when none is asked for", arguments: [nil, ""])
  func best(requested: String?) throws {
    #expect(try InstructionSet.choose(requested: requested, available: [.scalar, .avx2]) == .avx2)
    #expect(try InstructionSet.choose(requested: requested, available: [.scalar]) == .scalar)
  }

  @Test("A set can be forced by name")
  func forced() throws {
    let all: [InstructionSet] = [.scalar, .avx2]
    #expect(try InstructionSet.choose(requested: "scalar", available: all) == .scalar)
    #expect(try InstructionSet.choose(requested: "AVX2", available: all) == .avx2)
  }

  @Test("An unknown set is an error that names the choices")
  func unknown() {
    let error = #expect(throws: KernelsError.self) {
      try InstructionSet.choose(requested: "mmx", available: [.scalar, .avx2])
    }
    #expect(error?.code == .unknownInstructionSet)
    #expect(
      error?.message
        == "MOERUN_ISA=mmx: no such instruction set; set it to one of scalar, avx2, or unset it "
        + "for the best one")
  }

  @Test("A set that cannot run here is an error, not a slower run")
  func unavailable() {
    let error = #expect(throws: KernelsError.self) {
      try InstructionSet.choose(requested: "avx2", available: [.scalar])
    }
    #expect(error?.code == .unavailableInstructionSet)
    #expect(
      error?.message
        == "MOERUN_ISA=avx2: this CPU or this build cannot run it; set it to one of scalar, or "
        + "unset it for the best one")
  }

  @Test("The scalar kernels are always there")
  func scalarIsAvailable() {
    #expect(InstructionSet.scalar.isAvailable)
  }
}
