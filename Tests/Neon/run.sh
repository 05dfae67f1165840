#!/bin/sh
# Builds neon_check and runs it on every kind of CPU that the NEON kernels tell apart: on an AArch64
# machine natively, elsewhere cross-compiled and in QEMU. An x86-64 machine holds its own tables to the
# same model, and its digest of all float results must be that of NEON.
# usage: CC=clang run.sh BUILD_FOLDER
set -eu

build=$1
kernels=Sources/CKernels
# Those of Package.swift.
flags="-std=gnu11 -D_GNU_SOURCE -O3 -fno-math-errno -ffp-contract=off -Wall -Wextra -Werror"

need() {
  command -v "$1" >/dev/null && return
  echo "moepack: $1 is missing: $2" >&2
  exit 2
}

# compile NAME FLAGS...
compile() {
  name=$1
  shift
  # shellcheck disable=SC2086
  "$CC" "$@" $flags -I$kernels/include $kernels/arm/*.c $kernels/scalar/*.c $kernels/x86/*.c \
    Tests/Neon/*.c -lm -o "$build/$name"
}

need "$CC" "it comes with the Swift toolchain: https://swift.org/install"
mkdir -p "$build"

case $(uname -m) in
  aarch64 | arm64)
    compile neon_check
    "$build/neon_check" any fixtures
    exit
    ;;
esac

need qemu-aarch64 "apt-get install qemu-user"
need aarch64-linux-gnu-gcc "apt-get install gcc-aarch64-linux-gnu (for its C library)"
compile neon_check --target=aarch64-linux-gnu -static
# Cortex-A53 has neither kind of byte products, Neoverse N1 dot products, the last one all.
: >"$build/results"
for cpu in cortex-a53:plain neoverse-n1:dotprod max:i8mm; do
  qemu-aarch64 -cpu "${cpu%:*}" "$build/neon_check" "${cpu#*:}" fixtures | tee -a "$build/results"
  grep -q "^neon_check: ${cpu#*:}: all " "$build/results"
done
if [ "$(uname -m)" = x86_64 ]; then
  compile x86_check
  # The same with AMX's tiles in plain C, as few CPUs have them.
  sources=$(ls $kernels/x86/*.c | grep -v '/amx\.c$')
  # shellcheck disable=SC2086
  "$CC" $flags -include Tests/Neon/amx/amx_model.h -I$kernels/include $kernels/arm/*.c $kernels/scalar/*.c \
    $sources Tests/Neon/*.c Tests/Neon/amx/*.c -lm -o "$build/tiles_check"
  for check in "x86_check avx2" "x86_check avx512" "x86_check amx" "tiles_check amx"; do
    # 77: not on this CPU.
    "$build/${check% *}" "${check#* }" fixtures >"$build/x86_results" || [ $? = 77 ]
    tee -a "$build/results" <"$build/x86_results"
  done
fi
# Products of BF16 have an order of their own in AMX's tiles.
if [ "$(sed -n 's/.*digest \([0-9a-f]*\).*/\1/p' "$build/results" | sort -u | wc -l)" != 1 ] ||
  [ "$(sed -n '/amx/d; s/.*of BF16 //p' "$build/results" | sort -u | wc -l)" != 1 ]; then
  echo "neon_check: the digests differ" >&2
  exit 1
fi
