#include "cdigest.h"

#include <string.h>

/* The default secret of XXH3: constants of its specification. */
static const uint8_t secret[192] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e};

#define STRIPE_BYTES 64
#define STRIPES (CD_BLOCK_BYTES / STRIPE_BYTES)
/* The secret moves on by 8 bytes a stripe; its last 64 bytes scramble. */
#define SECRET_STEP 8
#define SCRAMBLE_SECRET (sizeof secret - STRIPE_BYTES)

static const uint64_t prime32_1 = 0x9E3779B1u, prime32_2 = 0x85EBCA77u, prime32_3 = 0xC2B2AE3Du;
static const uint64_t prime64_1 = 0x9E3779B185EBCA87u, prime64_2 = 0xC2B2AE3D27D4EB4Fu,
                      prime64_3 = 0x165667B19E3779F9u, prime64_4 = 0x85EBCA77C2B2AE63u,
                      prime64_5 = 0x27D4EB2F165667C5u;

_Static_assert(STRIPES == (sizeof secret - STRIPE_BYTES) / SECRET_STEP, "a block uses up the secret");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stripes are read as little-endian words");

typedef uint64_t vec4 __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))

/* Adds a half stripe to its four lanes. */
INLINE void add_half(vec4 *lanes, const uint8_t *bytes, const uint8_t *key) {
  vec4 value, keyed;
  memcpy(&value, bytes, sizeof value);
  memcpy(&keyed, key, sizeof keyed);
  keyed ^= value;
  *lanes += (keyed & 0xFFFFFFFFu) * (keyed >> 32) + __builtin_shufflevector(value, value, 1, 0, 3, 2);
}

INLINE void block_sums(const uint8_t *bytes, size_t count, uint64_t *sums) {
  for (size_t block = 0; block < count; block++) {
    vec4 low = {0}, high = {0};
    for (int stripe = 0; stripe < STRIPES; stripe++) {
      const uint8_t *key = secret + SECRET_STEP * stripe;
      add_half(&low, bytes, key);
      add_half(&high, bytes + 32, key + 32);
      bytes += STRIPE_BYTES;
    }
    memcpy(sums, &low, sizeof low);
    memcpy(sums + 4, &high, sizeof high);
    sums += CD_LANES;
  }
}

static void block_sums_plain(const uint8_t *bytes, size_t count, uint64_t *sums) {
  block_sums(bytes, count, sums);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void block_sums_avx2(const uint8_t *bytes, size_t count,
                                                            uint64_t *sums) {
  block_sums(bytes, count, sums);
}
#endif

void cd_block_sums(const void *bytes, size_t count, uint64_t *sums) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return block_sums_avx2(bytes, count, sums);
#endif
  block_sums_plain(bytes, count, sums);
}

static uint64_t word(const uint8_t *bytes) {
  uint64_t value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

void cd_start(uint64_t *lanes) {
  const uint64_t start[CD_LANES] = {prime32_3, prime64_1, prime64_2, prime64_3,
                                    prime64_4, prime32_2, prime64_5, prime32_1};
  memcpy(lanes, start, sizeof start);
}

void cd_fold(uint64_t *lanes, const uint64_t *sums, size_t count) {
  for (size_t block = 0; block < count; block++) {
    for (int lane = 0; lane < CD_LANES; lane++) {
      uint64_t sum = lanes[lane] + sums[block * CD_LANES + (size_t)lane];
      sum ^= sum >> 47;
      sum ^= word(secret + SCRAMBLE_SECRET + 8 * lane);
      lanes[lane] = sum * prime32_1;
    }
  }
}

static void add_stripe(uint64_t *lanes, const uint8_t *bytes, const uint8_t *key) {
  for (int lane = 0; lane < CD_LANES; lane++) {
    uint64_t value = word(bytes + 8 * lane), keyed = value ^ word(key + 8 * lane);
    lanes[lane ^ 1] += value;
    lanes[lane] += (keyed & 0xFFFFFFFFu) * (keyed >> 32);
  }
}

static uint64_t fold_product(uint64_t a, uint64_t b) {
  unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t merged(const uint64_t *lanes, const uint8_t *key, uint64_t start) {
  uint64_t sum = start;
  for (int pair = 0; pair < CD_LANES / 2; pair++) {
    sum += fold_product(lanes[2 * pair] ^ word(key + 16 * pair),
                        lanes[2 * pair + 1] ^ word(key + 16 * pair + 8));
  }
  sum ^= sum >> 37;
  sum *= 0x165667919E3779F9u;
  return sum ^ (sum >> 32);
}

void cd_finish(const uint64_t *folded, uint64_t length, const uint8_t *rest, size_t rest_count,
               uint64_t *digest) {
  uint64_t lanes[CD_LANES];
  memcpy(lanes, folded, sizeof lanes);
  size_t open = (size_t)((length - 1) % CD_BLOCK_BYTES) + 1;
  const uint8_t *block = rest + rest_count - open;
  size_t stripes = (open - 1) / STRIPE_BYTES;
  for (size_t stripe = 0; stripe < stripes; stripe++) {
    add_stripe(lanes, block + stripe * STRIPE_BYTES, secret + SECRET_STEP * stripe);
  }
  /* The last stripe ends with the input and may overlap the one before. */
  add_stripe(lanes, rest + rest_count - STRIPE_BYTES, secret + SCRAMBLE_SECRET - 7);
  digest[1] = merged(lanes, secret + 11, length * prime64_1);
  digest[0] = merged(lanes, secret + SCRAMBLE_SECRET - 11, ~(length * prime64_2));
}
