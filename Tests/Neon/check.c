#include "check.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

long expectations, failures;
uint64_t digest_so_far = 0xcbf29ce484222325, bf16_digest_so_far = 0xcbf29ce484222325;

void expect(bool is_met, const char *format, ...) {
  expectations++;
  if (is_met) return;
  if (++failures > 20) return;
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "neon_check: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
}

/* FNV-1a */
static void mix(uint64_t *digest, const uint8_t *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) *digest = (*digest ^ bytes[i]) * 0x100000001b3;
}

void digest(const void *bytes, size_t count) { mix(&digest_so_far, bytes, count); }

void digest_bf16(const void *bytes, size_t count) { mix(&bf16_digest_so_far, bytes, count); }

uint64_t next_random(random_source *random) {
  uint64_t z = random->state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

float next_float(random_source *random) {
  return (float)((int64_t)(next_random(random) >> 40) - (1 << 23)) * 0x1p-23f;
}

void fill_floats(random_source *random, float *out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = next_float(random);
}

const char *const type_names[CK_TYPES] = {
    [CK_F32] = "F32",         [CK_F16] = "F16",         [CK_BF16] = "BF16",
    [CK_F64] = "F64",         [CK_I8] = "I8",           [CK_I16] = "I16",
    [CK_I32] = "I32",         [CK_Q4_0] = "Q4_0",       [CK_Q4_1] = "Q4_1",
    [CK_Q5_0] = "Q5_0",       [CK_Q5_1] = "Q5_1",       [CK_Q8_0] = "Q8_0",
    [CK_Q2_K] = "Q2_K",       [CK_Q3_K] = "Q3_K",       [CK_Q4_K] = "Q4_K",
    [CK_Q5_K] = "Q5_K",       [CK_Q6_K] = "Q6_K",       [CK_IQ1_S] = "IQ1_S",
    [CK_IQ1_M] = "IQ1_M",     [CK_IQ2_XXS] = "IQ2_XXS", [CK_IQ2_XS] = "IQ2_XS",
    [CK_IQ2_S] = "IQ2_S",     [CK_IQ3_XXS] = "IQ3_XXS", [CK_IQ3_S] = "IQ3_S",
    [CK_IQ4_NL] = "IQ4_NL",   [CK_IQ4_XS] = "IQ4_XS",   [CK_MXFP4] = "MXFP4",
    [CK_NVFP4] = "NVFP4",     [CK_TQ1_0] = "TQ1_0",     [CK_TQ2_0] = "TQ2_0",
};

/* Offsets of the float16 fields of a block, one more than they are; 0: none. */
static const uint8_t halves[CK_TYPES][2] = {
    [CK_Q4_0] = {1},     [CK_Q4_1] = {1, 3},   [CK_Q5_0] = {1},    [CK_Q5_1] = {1, 3},
    [CK_Q8_0] = {1},     [CK_Q2_K] = {81, 83}, [CK_Q3_K] = {109},  [CK_Q4_K] = {1, 3},
    [CK_Q5_K] = {1, 3},  [CK_Q6_K] = {209},    [CK_IQ1_S] = {1},   [CK_IQ2_XXS] = {1},
    [CK_IQ2_XS] = {1},   [CK_IQ2_S] = {1},     [CK_IQ3_XXS] = {1}, [CK_IQ3_S] = {1},
    [CK_IQ4_NL] = {1},   [CK_IQ4_XS] = {1},    [CK_TQ1_0] = {53},  [CK_TQ2_0] = {65},
    [CK_F16] = {1},
};

static uint16_t random_half(random_source *random, block_style style) {
  const uint64_t bits = next_random(random);
  const uint16_t sign = (uint16_t)(bits >> 63 << 15);
  switch (style) {
    case ZERO_SCALE: return sign;
    case SUBNORMAL_SCALE: return sign | 1;
    case LARGEST_SCALE: return sign | 0x7bff;
    /* 2^-10 ..< 2^-4 */
    default: return (uint16_t)(sign | (5 + bits % 6) << 10 | (bits >> 32 & 1023));
  }
}

void fill_blocks(random_source *random, uint32_t type, block_style style, uint8_t *out, size_t count) {
  const size_t bytes = ck_block_bytes(type);
  for (size_t n = 0; n < count; n++, out += bytes) {
    for (size_t i = 0; i < bytes; i++) {
      out[i] = style == BITS_CLEAR ? 0 : style == BITS_SET ? 0xff : (uint8_t)next_random(random);
    }
    for (int i = 0; i < 2 && halves[type][i]; i++) {
      const uint16_t half = random_half(random, style);
      memcpy(out + halves[type][i] - 1, &half, sizeof half);
    }
    const float value = next_float(random);
    const double wide = value;
    switch (type) {
      case CK_F32: memcpy(out, &value, 4); break;
      case CK_F64: memcpy(out, &wide, 8); break;
      case CK_BF16: memcpy(out, (const uint8_t *)&value + 2, 2); break;
      case CK_MXFP4:
        /* Exponents whose products stay finite; 0 and 1 are the subnormal ones. */
        out[0] = (uint8_t)(style == ZERO_SCALE || style == SUBNORMAL_SCALE ? next_random(random) % 2
                           : style == LARGEST_SCALE                        ? 200
                                                    : 110 + next_random(random) % 20);
        break;
      case CK_NVFP4:
        for (int i = 0; i < 4; i++) out[i] &= 0x7f;
        break;
      case CK_IQ1_M: {
        /* The float16 is spread over the top nibbles of four words. */
        const uint16_t half = random_half(random, style);
        for (int i = 0; i < 4; i++) {
          out[49 + 2 * i] = (uint8_t)((out[49 + 2 * i] & 15) | (half >> (4 * i) & 15) << 4);
        }
      }
    }
  }
}

static size_t mapped_bytes(size_t bytes) {
  const size_t page = (size_t)getpagesize();
  return (bytes + page - 1) / page * page + page;
}

void *guarded(size_t bytes) {
  const size_t page = (size_t)getpagesize(), length = mapped_bytes(bytes);
  uint8_t *mapping =
      mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (mapping == MAP_FAILED || mprotect(mapping + length - page, page, PROT_NONE)) {
    fprintf(stderr, "neon_check: no memory for a guarded page\n");
    exit(2);
  }
  return mapping + length - page - bytes;
}

void free_guarded(void *start, size_t bytes) {
  const size_t page = (size_t)getpagesize(), length = mapped_bytes(bytes);
  munmap((uint8_t *)start + bytes + page - length, length);
}

__attribute__((noinline)) void soil_stack(void) {
  char soiled[1 << 15];
  memset(soiled, 0xff, sizeof soiled);
  __asm__ volatile("" : : "r"(soiled) : "memory");
}

bool is_same(float a, float b) {
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
  return memcmp(&a, &b, sizeof a) == 0;
}
