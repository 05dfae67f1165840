import Foundation
import Generation
import Testing

@Suite struct SamplerMathTests {
  @Test("the exponential is the C library's to a few units in the last place")
  func exponential() {
    #expect(PortableExponential.exp(0) == 1)
    #expect(PortableExponential.exp(-.infinity) == 0)
    #expect(PortableExponential.exp(-1000) == 0)
    var random = RandomSource(seed: 9)
    for _ in 0..<20_000 {
      let unit = random.nextUnit()
      for x in [-unit, -unit * 40, -unit * 707.9] {
        let expected = Foundation.exp(x)
        #expect(abs(PortableExponential.exp(x) - expected) <= 4e-16 * expected, "\(x)")
      }
    }
  }

  @Test("the logarithm inverts the exponential", arguments: [1, 0.9, 0.5, 0.05, 1e-6, 1e-300])
  func logarithm(_ share: Double) {
    let y = PortableExponential.logarithm(share)
    #expect(abs(y - Foundation.log(share)) <= 4e-16 * max(1, abs(y)))
    #expect(PortableExponential.exp(y) <= share * (1 + 4e-16))
  }

  @Test("random numbers are xoshiro256** seeded by SplitMix64")
  func randomNumbers() {
    var zero = RandomSource(seed: 0)
    #expect(
      (0..<3).map { _ in zero.next() } == [
        0x99EC_5F36_CB75_F2B4, 0xBF6E_1F78_4956_452A, 0x1A5F_849D_4933_E6E0,
      ])
    var other = RandomSource(seed: 42)
    #expect(
      (0..<3).map { _ in other.next() } == [
        0x1578_0B2E_0C2E_C716, 0x6104_D986_6D11_3A7E, 0xAE17_5332_39E4_99A1,
      ])
  }

  @Test("unit numbers are at least 0 and below 1")
  func unit() {
    var random = RandomSource(seed: 1)
    for _ in 0..<10_000 { #expect((0..<1).contains(random.nextUnit())) }
  }
}
