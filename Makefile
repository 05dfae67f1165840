# Everything a fresh checkout needs: `make demo` and `make test` do all the set-up themselves.

CONFIGURATION = release
SWIFT = swift
BIN = .build/$(CONFIGURATION)
MOEPACK = $(BIN)/moepack
MOERUN = $(BIN)/moerun
CHECKPOINT = fixtures/tiny-qwen35moe-seedmix.gguf
DEMO = .build/demo
# Our own Swift sources; the rule set is .swift-format.
SWIFT_SOURCES = Package.swift Sources Tests

.PHONY: all setup build demo test neon lint format fuzz bench-stream bench-kernels bench-pack bench-consume \
  bench-perplexity interruptions wall faults clean

all: build

# Installs the system libraries unless pkg-config finds them all; sudo only when not root.
setup:
	@if ! pkg-config --exists libzstd libxxhash libpcre2-8 2>/dev/null; then \
	  if [ "$$(uname)" = Darwin ]; then \
	    command -v brew >/dev/null || { echo "moepack: install Homebrew first: https://brew.sh" >&2; exit 2; }; \
	    brew install pkg-config zstd xxhash pcre2; \
	  elif command -v apt-get >/dev/null; then \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get update -qq && \
	    $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	      pkg-config libzstd-dev libxxhash-dev libpcre2-dev; \
	  else \
	    echo "moepack: install the development files of zstd, xxhash and pcre2 (8 bit), and pkg-config" >&2; exit 2; \
	  fi; \
	fi
	@command -v $(SWIFT) >/dev/null || { echo "moepack: needs Swift 6.2 or later: https://swift.org/install" >&2; exit 2; }

build: setup
	$(SWIFT) build -c $(CONFIGURATION) --product moepack
	$(SWIFT) build -c $(CONFIGURATION) --product moerun

# A trained Qwen3.5-MoE of 24 MB from GGUF to text.
demo: build
	@mkdir -p $(DEMO)
	@echo; echo "== convert: the GGUF becomes a pack"
	$(MOEPACK) convert $(CHECKPOINT) -o $(DEMO)/tiny.moepack --overwrite
	@echo; echo "== verify: every slice of every expert, and the content against the source"
	$(MOEPACK) verify $(DEMO)/tiny.moepack --against $(CHECKPOINT)
	@echo; echo "== generate: experts stream from the pack into a cache of a third of them"
	$(MOERUN) generate $(DEMO)/tiny.moepack -p "The sea was calm, and the old captain" -n 100 \
	  --temperature 0.7 --seed 4 --memory 80MiB
	@echo

# Builds and runs every test. Release: the kernels and the model run at their real speed.
test: setup
	$(SWIFT) build -c $(CONFIGURATION) --build-tests
	SWIFT_BACKTRACE=enable=no $(SWIFT) test -c $(CONFIGURATION) --skip-build

# The NEON kernels against their definition, on any machine: cross-compiled and in QEMU where it is not
# an AArch64 one. Needs no Swift build.
CLANG = clang
neon:
	CC="$(CLANG)" Tests/Neon/run.sh .build/neon

lint:
	$(SWIFT) format lint --strict -r -p $(SWIFT_SOURCES)

format:
	$(SWIFT) format -i -r -p $(SWIFT_SOURCES)

# libFuzzer on everything that is read from a file: headers of sources, and of a pack the manifest, the tables, the
# journal of a conversion, the list of volumes; recipes. FUZZ_SECONDS for each; FUZZ_TARGETS names some of them.
FUZZ_SECONDS = 180
FUZZ_TARGETS = gguf manifest tables journal volumes recipes
FUZZ_SEEDS_gguf = fixtures/bad fixtures/gguf
fuzz: $(addprefix fuzz-,$(FUZZ_TARGETS))

# The time of a frozen or busy machine is no hang: the targets hold each input to a second of processor time.
fuzz-%: setup
	MOEPACK_FUZZ=1 $(SWIFT) build -c release --sanitize=fuzzer --product $*-fuzz --scratch-path .build-fuzz
	mkdir -p .build-fuzz/corpus/$* .build-fuzz/findings
	SWIFT_BACKTRACE=enable=no .build-fuzz/release/$*-fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=8192 \
	  -timeout=60 -rss_limit_mb=512 -print_final_stats=1 -artifact_prefix=.build-fuzz/findings/$*- \
	  .build-fuzz/corpus/$* $(or $(FUZZ_SEEDS_$*),fixtures/fuzz/$*)

# Decode and prefill in memory groups on a synthetic model of 13 GB, as root on a quiet machine.
# PEER=path/to/llama-bench adds rows of that program.
BENCH_DIR = .build/bench
bench-stream: build
	python3 Benchmarks/bench_stream.py --moepack $(MOEPACK) --moerun $(MOERUN) --work $(BENCH_DIR) \
	  $(if $(PEER),--peer $(PEER))

# Matrix products by type and instruction set, and a model of 12 GB in memory, on a quiet machine.
# PEERS="--peer llama=path/to/llama-bench,--repack,0" adds other engines, "--reference path/to/test-backend-ops"
# llama.cpp's own products beside ours (recipes/results/kernels.md).
KERNEL_BENCH = $(BENCH_DIR)/kernel_bench
bench-kernels: build
	mkdir -p $(BENCH_DIR)
	$(CLANG) -std=gnu17 -D_GNU_SOURCE -O3 -fno-math-errno -ffp-contract=off -ISources/CKernels/include \
	  Benchmarks/kernels/kernel_bench.c Sources/CKernels/*/*.c -lm -lpthread -o $(KERNEL_BENCH)
	python3 Benchmarks/bench_kernels.py --kernels $(KERNEL_BENCH) --moepack $(MOEPACK) --moerun $(MOERUN) \
	  --work $(BENCH_DIR) $(PEERS)

# convert beside cp + xxhsum and verify beside fio, in turn, on a synthetic model of 11 GB; needs fio,
# xxhsum and 40 GB of disk. As root, so that fio gets huge pages. PACK_BENCH="--source FILE --rounds 3".
bench-pack: build
	python3 Benchmarks/bench_pack.py --moepack $(MOEPACK) --work $(BENCH_DIR) $(PACK_BENCH)

# A large file turned into its pack by --consume, killed twice, with the disk watched; 35 GB of room.
bench-consume: build
	python3 Benchmarks/bench_consume.py --moepack $(MOEPACK) --work $(BENCH_DIR)

# Perplexity and divergence of trained checkpoints, all instruction sets and precisions; half an hour, most
# of it scalar. GOLDENS="--goldens DIR --text FILE" adds the checkpoints below DIR and a longer text.
bench-perplexity: build
	python3 Benchmarks/bench_perplexity.py --moepack $(MOEPACK) --moerun $(MOERUN) --work $(BENCH_DIR) $(GOLDENS)

# One conversion killed at 200 random moments, one on full disks, and every call that changes the disk killed
# and failed: convert, --stripe, --consume, repair. Linux; full disks as root. CAMPAIGNS names some of them,
# CAMPAIGN="--rounds N --every N --report FILE" changes them.
CAMPAIGNS = kills space faults stripe repair consume
interruptions: build
	mkdir -p $(BENCH_DIR)
	$(CLANG) -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -shared -fPIC Tests/Resume/fault_shim.c \
	  -ldl -o $(BENCH_DIR)/fault_shim.so
	PYTHONDONTWRITEBYTECODE=1 python3 Tests/Resume/campaign.py --moepack $(MOEPACK) \
	  --shim $(BENCH_DIR)/fault_shim.so --work $(BENCH_DIR)/interruptions $(CAMPAIGN) $(CAMPAIGNS)

# The peak of every command against --memory, in memory groups of exactly that size, as root.
wall: build
	python3 Benchmarks/memory_wall.py --moepack $(MOEPACK) --moerun $(MOERUN) --work $(BENCH_DIR)

# Every bit of a pack of 2 MiB flipped, slices misplaced, files cut at every page: does verify name the place?
faults: setup
	$(SWIFT) build -c $(CONFIGURATION) --build-tests
	MOEPACK_EVERY_BIT=1 SWIFT_BACKTRACE=enable=no $(SWIFT) test -c $(CONFIGURATION) --skip-build \
	  --no-parallel --filter FaultDetectionTests

clean:
	rm -rf .build .build-fuzz
