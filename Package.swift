// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target: upcoming language features on, no warning survives.
let common: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .treatAllWarnings(as: .error),
]

/// Targets that read untrusted bytes or hold policy: every unsafe use must be spelled out.
let strict: [SwiftSetting] =
  common + [.strictMemorySafety(), .enableExperimentalFeature("Lifetimes")]

/// C settings: intrinsics stay usable in debug builds, and no flag depends on the build machine.
let kernelFlags: [CSetting] = [
  .define("_GNU_SOURCE"),
  .unsafeFlags(["-O3", "-fno-math-errno", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]),
]

let arguments: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")

/// Fuzz targets bring their main function from libFuzzer, so they exist only when asked for:
/// `MOEPACK_FUZZ=1 swift build -c release --sanitize=fuzzer --product gguf-fuzz`.
func fuzzTarget(_ name: String, _ folder: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies, path: "Tests/Fuzz/" + folder,
    swiftSettings: common + [.unsafeFlags(["-parse-as-library"])])
}

let fuzzTargets: [Target] =
  Context.environment["MOEPACK_FUZZ"] == nil
  ? []
  : [
    .target(
      name: "FuzzSupport", dependencies: ["ExpertPack", "FileIO", "GGUF", "Packer"],
      path: "Tests/Fuzz/Support", swiftSettings: common),
    fuzzTarget("gguf-fuzz", "GGUF", ["GGUF", "GGUFTestSupport"]),
    fuzzTarget("manifest-fuzz", "Manifest", ["FuzzSupport"]),
    fuzzTarget("tables-fuzz", "Tables", ["FuzzSupport", "ExpertPack", "FileIO", "GGUF"]),
    fuzzTarget(
      "journal-fuzz", "Journal", ["FuzzSupport", "ExpertPack", "FileIO", "GGUF", "Packer"]),
    fuzzTarget("volumes-fuzz", "Volumes", ["FuzzSupport", "ExpertPack", "GGUF", "Packer"]),
    fuzzTarget("recipes-fuzz", "Recipes", ["FuzzSupport", "GGUF", "Recipes"]),
  ]

let package = Package(
  name: "moepack",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "moepack", targets: ["moepack"]),
    .executable(name: "moerun", targets: ["moerun"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.1"),
    .package(url: "https://github.com/apple/swift-system", from: "1.6.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
  ],
  targets: [
    .systemLibrary(
      name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
    .systemLibrary(
      name: "CXXHash", pkgConfig: "libxxhash",
      providers: [.apt(["libxxhash-dev"]), .brew(["xxhash"])]),
    .systemLibrary(
      name: "CPCRE2", pkgConfig: "libpcre2-8",
      providers: [.apt(["libpcre2-dev"]), .brew(["pcre2"])]),
    .target(name: "CPlatform", cSettings: [.define("_GNU_SOURCE")]),
    .target(name: "CKernels", cSettings: kernelFlags),
    // The block formats, value tables and code books are those of the kernels.
    .target(
      name: "CQuantizers",
      cSettings: kernelFlags + [.headerSearchPath("../CKernels/internal")]),
    .target(name: "CDigest", cSettings: kernelFlags),
    .target(name: "Tensors", swiftSettings: strict),
    .target(
      name: "FileIO", dependencies: ["CPlatform", "CDigest", "CXXHash", system],
      swiftSettings: common),
    .target(name: "GGUF", dependencies: ["Tensors", "FileIO"], swiftSettings: strict),
    .target(
      name: "ExpertPack", dependencies: ["CZstd", "Tensors", "FileIO", "GGUF", system],
      swiftSettings: common),
    .target(
      name: "Recipes",
      dependencies: ["Tensors", "FileIO", "GGUF", .product(name: "Yams", package: "Yams")],
      swiftSettings: strict),
    .target(
      name: "Packer",
      dependencies: [
        "Tensors", "FileIO", "GGUF", "ExpertPack", "Recipes", "Kernels", "Quantizers",
      ],
      swiftSettings: common),
    .target(
      name: "Kernels", dependencies: ["CKernels", "CPlatform", "Tensors"],
      swiftSettings: common),
    .target(
      name: "Quantizers",
      dependencies: ["CQuantizers", "Tensors", "FileIO", "GGUF", "Kernels"],
      swiftSettings: common),
    .target(
      name: "ExpertStore", dependencies: ["CPlatform", "Tensors", "FileIO", "ExpertPack"],
      swiftSettings: common),
    .target(
      name: "ModelGraph",
      dependencies: ["Tensors", "FileIO", "GGUF", "ExpertPack", "ExpertStore", "Kernels"],
      swiftSettings: common),
    .target(name: "Tokenizers", dependencies: ["CPCRE2", "GGUF"], swiftSettings: strict),
    .target(
      name: "Generation", dependencies: ["ModelGraph", "Tokenizers", "ExpertStore"],
      swiftSettings: common),
    .target(
      name: "Planner",
      dependencies: [
        "Tensors", "FileIO", "GGUF", "ExpertPack", "Packer", "Recipes", "Kernels", "ModelGraph",
      ], swiftSettings: common),
    .target(name: "Replay", dependencies: ["ExpertStore"], swiftSettings: strict),
    .target(
      name: "CommandSupport", dependencies: ["CPlatform", "FileIO", arguments],
      swiftSettings: common),
    .executableTarget(
      name: "moepack",
      dependencies: [
        "CommandSupport", "Tensors", "FileIO", "GGUF", "ExpertPack", "Recipes", "Quantizers",
        "Packer", "Planner",
        arguments,
      ], swiftSettings: common),
    .executableTarget(
      name: "moerun",
      dependencies: [
        "CommandSupport", "Tensors", "FileIO", "GGUF", "ExpertPack", "ExpertStore", "Kernels",
        "ModelGraph", "Tokenizers", "Generation", "Replay", arguments,
      ], swiftSettings: common),
    .target(name: "AllocationCount", path: "Tests/AllocationCount"),
    .testTarget(
      name: "FileIOTests", dependencies: ["TestSupport", "FileIO", "CPlatform"],
      swiftSettings: common),
    .testTarget(
      name: "QuantizersTests",
      dependencies: [
        "CQuantizers", "TestSupport", "Tensors", "FileIO", "GGUF", "Kernels", "Quantizers",
      ],
      swiftSettings: common),
    .testTarget(
      name: "KernelsTests", dependencies: ["AllocationCount", "Kernels", "Tensors"],
      swiftSettings: common),
    .target(
      name: "TestSupport", dependencies: ["FileIO", "GGUF", "Tensors", system],
      path: "Tests/TestSupport", swiftSettings: common),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "TestSupport", "Tensors", "FileIO", "GGUF", "ExpertPack", "moepack", "moerun",
      ],
      swiftSettings: common),
    .testTarget(
      name: "TokenizersTests", dependencies: ["AllocationCount", "Tokenizers", "GGUF", "FileIO"],
      swiftSettings: common),
    .testTarget(
      name: "CommandSupportTests", dependencies: ["CommandSupport"], swiftSettings: common),
    .testTarget(name: "GenerationTests", dependencies: ["Generation"], swiftSettings: common),
    .testTarget(
      name: "ExpertStoreTests",
      dependencies: [
        "TestSupport", "Tensors", "FileIO", "GGUF", "ExpertPack", "Packer", "ExpertStore",
      ], swiftSettings: common),
    .testTarget(
      name: "ReplayTests",
      dependencies: [
        "TestSupport", "GGUF", "ExpertPack", "Packer", "ExpertStore", "FileIO", "Replay",
      ], swiftSettings: common),
    .testTarget(
      name: "ModelGraphTests",
      dependencies: [
        "AllocationCount", "TestSupport", "Tensors", "FileIO", "GGUF", "ExpertPack", "Packer",
        "ExpertStore", "Kernels", "ModelGraph",
      ], swiftSettings: common),
    .testTarget(
      name: "GoldenTests",
      dependencies: [
        "TestSupport", "FileIO", "GGUF", "ExpertPack", "ExpertStore", "Packer", "Kernels",
        "ModelGraph", "Tokenizers", "Generation",
      ], swiftSettings: common),
    .testTarget(
      name: "PackerTests",
      dependencies: [
        "TestSupport", "Tensors", "FileIO", "GGUF", "ExpertPack", "Recipes", "Quantizers", "Packer",
        "Kernels",
      ],
      swiftSettings: common),
    .testTarget(
      name: "PlannerTests",
      dependencies: [
        "TestSupport", "FileIO", "GGUF", "ExpertPack", "Packer", "Recipes", "ModelGraph", "Planner",
      ], swiftSettings: common),
    .testTarget(
      name: "RecipesTests",
      dependencies: ["TestSupport", "Tensors", "FileIO", "GGUF", "Recipes"],
      swiftSettings: common),
    .target(
      name: "GGUFTestSupport", dependencies: ["GGUF", "Tensors"], path: "Tests/GGUFTestSupport",
      swiftSettings: common),
    .testTarget(
      name: "GGUFTests", dependencies: ["GGUF", "GGUFTestSupport", "Tensors", "FileIO"],
      swiftSettings: common),
  ] + fuzzTargets,
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu17
)
