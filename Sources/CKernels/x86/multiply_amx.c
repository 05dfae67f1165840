/* Products of tiles of quantised weights with AMX. */
#include "amx.h"
#include "tile512.h"

#if defined(__x86_64__)

/* Sixteen tokens meet sixteen rows: their activations, whose bytes lie as they should, are one matrix, the
 * tile of weights, which has four neighbouring levels of each row side by side, is the other. Weights of a
 * group share a scale, so a product goes over one group: its whole numbers leave the tile registers, and
 * meet both scales as those of AVX-512 do, in the same order. For 32 columns that is one product, or two with
 * 16-bit activations, for 128 and 256 of VNNI's; what takes the time are 16 vectors that are stored and
 * loaded again and 32 floating-point instructions. */
enum { TOKENS = 16 };

/* From how many tokens on they are made up to sixteen: for fewer VNNI takes no longer. */
enum { LEAST_TOKENS = 8 };

/* Registers: sums of two groups under way, for the upper bytes and the lower ones; activations; weights. */
#define SUMS_HIGH(parity) (parity)
#define SUMS_LOW(parity) (2 + (parity))
#define HIGH 4
#define LOW 5
#define WEIGHTS 6

CK_AMX_INLINE void configure(const size_t group) {
  ck_tile_configuration c = {.palette = 1};
  for (int i = 0; i < 4; i++) {
    c.row_bytes[i] = 64;
    c.rows[i] = TOKENS;
  }
  c.row_bytes[HIGH] = c.row_bytes[LOW] = (uint16_t)group;
  c.rows[HIGH] = c.rows[LOW] = TOKENS;
  c.row_bytes[WEIGHTS] = 64;
  c.rows[WEIGHTS] = (uint8_t)(group / 4);
  ck_configure_tiles(&c);
}

/* Activations of sixteen tokens, `stride` bytes from one to the next. */
typedef struct {
  const int8_t *high, *low;
  size_t stride;
} activations;

/* Whole numbers of two groups: the products of the upper bytes, and of the lower ones. */
typedef struct {
  _Alignas(64) int32_t high[2][TOKENS][CK_TILE_ROWS], low[2][TOKENS][CK_TILE_ROWS];
} whole_numbers;

/* Registers are numbered by constants, hence a macro. */
#define MULTIPLY_GROUP(PARITY)                                                                 \
  do {                                                                                         \
    _tile_zero(SUMS_HIGH(PARITY));                                                             \
    _tile_loadd(HIGH, x.high + g * group, x.stride);                                           \
    _tile_loadd(WEIGHTS, s->bytes[g * (group / 4)], 64);                                       \
    _tile_dpbsud(SUMS_HIGH(PARITY), HIGH, WEIGHTS);                                            \
    _tile_stored(SUMS_HIGH(PARITY), to->high[PARITY], 64);                                     \
    if (is_wide) {                                                                             \
      _tile_zero(SUMS_LOW(PARITY));                                                            \
      _tile_loadd(LOW, x.low + g * group, x.stride);                                           \
      _tile_dpbsud(SUMS_LOW(PARITY), LOW, WEIGHTS);                                            \
      _tile_stored(SUMS_LOW(PARITY), to->low[PARITY], 64);                                     \
    }                                                                                          \
  } while (0)

/* The whole numbers of group `g`, without their biases. */
CK_AMX_INLINE void multiply_group(const ck_scratch256 *s, activations x, size_t g, whole_numbers *to,
                                  const size_t group, const bool is_wide) {
  if (g % 2) {
    MULTIPLY_GROUP(1);
  } else {
    MULTIPLY_GROUP(0);
  }
}

/* Adds what the tile gives for `count` tokens, at most sixteen, from `first` on. */
CK_AMX_INLINE void multiply_sixteen(ck_scratch256 *s, const ck_token512 *x, activations values,
                                    size_t first, size_t tokens, size_t column, size_t columns,
                                    const size_t group, const bool has_minima, const bool is_wide) {
  const ck_token512 *own = x + first;
  whole_numbers numbers;
  const size_t groups = columns / group;
  multiply_group(s, values, 0, &numbers, group, is_wide);
  for (size_t g = 0; g < groups; g++) {
    /* The next group's products are under way while these meet their scales. */
    if (g + 1 < groups) multiply_group(s, values, g + 1, &numbers, group, is_wide);
    const size_t at = column + g * group;
    for (size_t t = 0; t < tokens; t++) {
      const int32_t bias = own[t].bias[at / group];
      const float step = own[t].scales[at / 32], share = step * 0x1p-7f * (float)bias;
      __m512i whole = _mm512_load_si512(numbers.high[g % 2][t]);
      if (is_wide) {
        whole = _mm512_add_epi32(_mm512_slli_epi32(whole, 8), _mm512_load_si512(numbers.low[g % 2][t]));
      }
      whole = _mm512_add_epi32(whole, _mm512_set1_epi32(bias));
      float *sums = s->sums[first + t];
      _mm512_store_ps(sums, ck_add_group512(s, _mm512_load_ps(sums), g, whole, step, share,
                                            has_minima));
    }
  }
}

/* Rows of activations that lie anywhere, brought together for one tile. */
typedef struct {
  _Alignas(64) int8_t high[TOKENS][CK_TILE_COLUMNS], low[TOKENS][CK_TILE_COLUMNS];
} panel;

/* The last token stands in for those behind it. */
CK_AMX_INLINE activations gather(panel *p, const ck_token512 *x, size_t tokens, size_t column,
                                 size_t columns, const bool is_wide) {
  for (size_t t = 0; t < TOKENS; t++) {
    const ck_token512 *own = x + (t < tokens ? t : tokens - 1);
    for (size_t c = 0; c < columns; c += 32) {
      const __m256i *high = (const __m256i *)(const void *)(own->high + column + c);
      const __m256i *low = (const __m256i *)(const void *)(own->low + column + c);
      _mm256_store_si256((__m256i *)(void *)(p->high[t] + c), _mm256_loadu_si256(high));
      if (is_wide) _mm256_store_si256((__m256i *)(void *)(p->low[t] + c), _mm256_loadu_si256(low));
    }
  }
  return (activations){.high = p->high[0], .low = p->low[0], .stride = CK_TILE_COLUMNS};
}

/* Whether sixteen tokens lie at equal distances, as those of a prompt do in a dense layer. */
static bool are_equidistant(const ck_token512 *x) {
  const ptrdiff_t distance = x[1].high - x[0].high;
  for (size_t t = 2; t < TOKENS; t++) {
    if (x[t].high - x[t - 1].high != distance) return false;
  }
  return distance > 0;
}

CK_AMX_INLINE void multiply_tokens(ck_scratch256 *s, size_t tiles, const ck_token512 *x, size_t first,
                                   size_t tokens, size_t column, size_t columns,
                                   const size_t group, const bool has_minima, const bool is_wide) {
  panel p;
  while (tokens - first >= LEAST_TOKENS) {
    const size_t count = tokens - first < TOKENS ? tokens - first : TOKENS;
    const ck_token512 *own = x + first;
    const activations values =
        count == TOKENS && are_equidistant(own)
            ? (activations){.high = own->high + column,
                            .low = own->low + column,
                            .stride = (size_t)(own[1].high - own[0].high)}
            : gather(&p, own, count, column, columns, is_wide);
    for (size_t k = 0; k < tiles; k++) {
      multiply_sixteen(s + k, x, values, first, count, column, columns, group, has_minima, is_wide);
    }
    first += count;
  }
  ck_avx512_vnni_products[is_wide][group == 32][has_minima](s, tiles, x, first, tokens, column, columns);
}

#define PRODUCT(NAME, GROUP, MINIMA, WIDE)                                                     \
  CK_AMX static void NAME(ck_scratch256 *s, size_t tiles, const ck_token512 *x, size_t first,  \
                          size_t tokens, size_t column, size_t columns) {                      \
    multiply_tokens(s, tiles, x, first, tokens, column, columns, GROUP, MINIMA, WIDE);         \
  }

PRODUCT(narrow_32, 32, false, false)
PRODUCT(narrow_32_minima, 32, true, false)
PRODUCT(narrow_16, 16, false, false)
PRODUCT(narrow_16_minima, 16, true, false)
PRODUCT(wide_32, 32, false, true)
PRODUCT(wide_32_minima, 32, true, true)
PRODUCT(wide_16, 16, false, true)
PRODUCT(wide_16_minima, 16, true, true)

static ck_avx512_products products = {
    {{narrow_16, narrow_16_minima}, {narrow_32, narrow_32_minima}},
    {{wide_16, wide_16_minima}, {wide_32, wide_32_minima}},
};

/* Weights that share a scale, by type. */
#define GROUP_OF(NAME, GROUP, MINIMA) [CK_##NAME] = GROUP,
static const uint8_t groups[CK_TYPES] = {CK_EACH_LEVEL_TYPE(GROUP_OF)};

CK_AMX void ck_amx_multiply_quantized(ck_matrix w, const void *x, const int32_t *rows, size_t tokens,
                                      bool is_wide, float *out, size_t out_stride) {
  if (tokens < LEAST_TOKENS) {
    ck_avx512_multiply_quantized(w, x, rows, tokens, is_wide, out, out_stride);
    return;
  }
  configure(groups[w.type]);
  ck_avx512_multiply_with(products, w, x, rows, tokens, is_wide, out, out_stride);
  _tile_release();
}

#endif
