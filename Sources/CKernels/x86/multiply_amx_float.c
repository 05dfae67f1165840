/* Products of BF16 weights with float32 activations in AMX's tiles. */
#include "amx.h"
#include "avx2_vector.h"

#if defined(__x86_64__)

/* A float32 is the sum of three BF16 numbers, its upper, middle and lower eight bits, so three products of
 * BF16 are as good as one of floats: 512 / 3 multiply-adds a cycle, where AVX-512 has 32 (Intel's optimization
 * manual; not measured). A tile of sixteen tokens times a tile of sixteen rows, which has pairs of neighbouring columns of each row side by side, gives sums of 32 columns;
 * each part has a tile of sums of its own, as a product waits for the one before it in the same tile. 256
 * columns, then the parts' sums go into the result: one order for a pair of row and token, whatever the number
 * of tokens. Numbers below 2^-126, and parts below it, count as zeros (Intel's manual, volume 2, TDPBF16PS). */
enum { TOKENS = 16, ROWS = 16, PAIRS = 16, STEP = 2 * PAIRS, COLUMNS = 256, STEPS = COLUMNS / STEP, PARTS = 3 };

/* Tokens whose parts are kept, 96 KiB, in the second cache, while all rows pass. */
enum { TOKEN_GROUP = 64 };

/* Registers. Sums: parts of one tile of tokens, then of the other. */
#define SUMS(tile, part) (3 * (tile) + (part))
#define WEIGHTS 6
#define ACTIVATIONS 7

typedef struct {
  _Alignas(64) uint16_t activations[TOKEN_GROUP / TOKENS][STEPS][PARTS][TOKENS][STEP];
  uint32_t weights[STEPS][PAIRS][ROWS];
  float sums[2][PARTS][TOKENS][ROWS];
} scratch;

/* The upper halves of sixteen floats. */
CK_AMX_INLINE void store_upper(uint16_t *to, __m512 x) {
  const __m512i upper = _mm512_srli_epi32(_mm512_castps_si512(x), 16);
  _mm256_store_si256((__m256i *)(void *)to, _mm512_cvtepi32_epi16(upper));
}

/* Sixteen activations into three parts of a token's row. What is not finite has no lower parts. */
CK_AMX_INLINE void split(uint16_t parts[PARTS][TOKENS][STEP], size_t token, size_t at, __m512 x) {
  const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
  const __mmask16 is_finite =
      _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_set1_ps(INFINITY), _CMP_LT_OQ);
  for (int p = 0; p < PARTS; p++) {
    const __m512 part = _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), upper));
    store_upper(parts[p][token] + at, part);
    x = _mm512_maskz_sub_ps(is_finite, x, part);
  }
}

/* `count` columns of `tokens` tokens, with zeros up to whole tiles of `height` tokens. */
CK_AMX_INLINE void load_activations(scratch *s, const float *x, size_t stride, size_t tokens,
                                    size_t height, size_t count) {
  for (size_t t = 0; t < (tokens + height - 1) / height * height; t++) {
    for (size_t c = 0; c < (count + STEP - 1) / STEP * STEP; c += 16) {
      const size_t left = t >= tokens || c >= count ? 0 : count - c;
      const __mmask16 is_there = left < 16 ? (__mmask16)((1u << left) - 1) : 0xffff;
      /* Behind the last token no address is made. */
      const __m512 values = left ? _mm512_maskz_loadu_ps(is_there, x + t * stride + c) : _mm512_setzero_ps();
      split(s->activations[t / TOKENS][c / STEP], t % TOKENS, c % STEP, values);
    }
  }
}

/* Sixteen vectors of sixteen words: word j of vector i becomes word i of vector j. */
CK_AMX_INLINE void transpose(__m512i v[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  /* v[4 i + j] has words j, 4 + j, 8 + j and 12 + j of vectors 4 i ..< 4 i + 4. */
  for (int j = 0; j < 4; j++) {
    t[j] = _mm512_shuffle_i32x4(v[j], v[4 + j], 0x88);
    t[4 + j] = _mm512_shuffle_i32x4(v[j], v[4 + j], 0xdd);
    t[8 + j] = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0x88);
    t[12 + j] = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0xdd);
  }
  for (int j = 0; j < 4; j++) {
    v[j] = _mm512_shuffle_i32x4(t[j], t[8 + j], 0x88);
    v[8 + j] = _mm512_shuffle_i32x4(t[j], t[8 + j], 0xdd);
    v[4 + j] = _mm512_shuffle_i32x4(t[4 + j], t[12 + j], 0x88);
    v[12 + j] = _mm512_shuffle_i32x4(t[4 + j], t[12 + j], 0xdd);
  }
}

/* `count` columns of `rows` rows from `first` on, with zeros behind the last column; the last row stands in for
 * those behind it. */
CK_AMX_INLINE void load_weights(scratch *s, ck_matrix w, size_t first, size_t column, size_t count) {
  for (size_t c = 0; c < count; c += STEP) {
    const size_t left = count - c;
    const __mmask32 is_there = left < STEP ? (__mmask32)((1u << left) - 1) : 0xffffffff;
    __m512i rows[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
      const size_t row = first + r < w.rows ? first + r : w.rows - 1;
      const uint8_t *from = (const uint8_t *)w.base + row * w.stride_bytes + 2 * (column + c);
      rows[r] = _mm512_maskz_loadu_epi16(is_there, from);
    }
    transpose(rows);
    for (size_t i = 0; i < PAIRS; i++) _mm512_store_si512(s->weights[c / STEP][i], rows[i]);
  }
}

/* Registers are numbered by constants, hence macros. */
#define ADD_PART(TILE, PART)                                                             \
  _tile_loadd(ACTIVATIONS, s->activations[first + (TILE)][step][PART], 2 * STEP);        \
  _tile_dpbf16ps(SUMS(TILE, PART), ACTIVATIONS, WEIGHTS)
#define ADD_PARTS(TILE) \
  ADD_PART(TILE, 0);    \
  ADD_PART(TILE, 1);    \
  ADD_PART(TILE, 2)
#define ZERO_PARTS(TILE)        \
  _tile_zero(SUMS(TILE, 0));    \
  _tile_zero(SUMS(TILE, 1));    \
  _tile_zero(SUMS(TILE, 2))
#define STORE_PARTS(TILE)                                          \
  _tile_stored(SUMS(TILE, 0), s->sums[TILE][0], 4 * ROWS);         \
  _tile_stored(SUMS(TILE, 1), s->sums[TILE][1], 4 * ROWS);         \
  _tile_stored(SUMS(TILE, 2), s->sums[TILE][2], 4 * ROWS)

/* Sums of `steps` products of one tile of tokens, `first`, or of two. */
CK_AMX_INLINE void multiply_tiles(scratch *s, size_t first, size_t steps, const bool is_pair) {
  ZERO_PARTS(0);
  if (is_pair) {
    ZERO_PARTS(1);
  }
  for (size_t step = 0; step < steps; step++) {
    _tile_loadd(WEIGHTS, s->weights[step], 4 * ROWS);
    ADD_PARTS(0);
    if (is_pair) {
      ADD_PARTS(1);
    }
  }
  STORE_PARTS(0);
  if (is_pair) {
    STORE_PARTS(1);
  }
}

/* Adds the parts' sums of `tokens` tokens to their results, or makes them the results. */
CK_AMX_INLINE void add_sums(const float sums[PARTS][TOKENS][ROWS], size_t tokens, __mmask16 is_row,
                            bool is_first, float *out, size_t out_stride) {
  for (size_t t = 0; t < tokens; t++, out += out_stride) {
    const __m512 upper = _mm512_add_ps(_mm512_load_ps(sums[0][t]), _mm512_load_ps(sums[1][t]));
    __m512 sum = _mm512_add_ps(upper, _mm512_load_ps(sums[2][t]));
    if (!is_first) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(is_row, out), sum);
    _mm512_mask_storeu_ps(out, is_row, sum);
  }
}

/* One group of tokens, in tiles of `height`, by all rows. */
CK_AMX static void multiply_group(scratch *s, ck_matrix w, const float *x, size_t x_stride,
                                  size_t tokens, size_t height, float *out, size_t out_stride) {
  for (size_t column = 0; column < w.columns; column += COLUMNS) {
    const size_t left = w.columns - column, count = left < COLUMNS ? left : COLUMNS;
    const size_t steps = (count + STEP - 1) / STEP;
    load_activations(s, x + column, x_stride, tokens, height, count);
    for (size_t row = 0; row < w.rows; row += ROWS) {
      const size_t rows = w.rows - row < ROWS ? w.rows - row : ROWS;
      const __mmask16 is_row = (__mmask16)((1u << rows) - 1);
      load_weights(s, w, row, column, count);
      for (size_t t = 0; t < tokens; t += 2 * TOKENS) {
        if (tokens - t > TOKENS) {
          multiply_tiles(s, t / TOKENS, steps, true);
        } else {
          multiply_tiles(s, t / TOKENS, steps, false);
        }
        for (size_t tile = 0; tile < 2 && t + tile * TOKENS < tokens; tile++) {
          const size_t at = t + tile * TOKENS, here = tokens - at < TOKENS ? tokens - at : TOKENS;
          add_sums(s->sums[tile], here, is_row, column == 0, out + at * out_stride + row, out_stride);
        }
      }
    }
  }
}

CK_AMX void ck_amx_multiply(ck_matrix w, const float *x, size_t x_stride, size_t tokens, float *out,
                            size_t out_stride) {
  if (w.type != CK_BF16) {
    ck_avx2_multiply(w, x, x_stride, tokens, out, out_stride);
    return;
  }
  /* Fewer tokens than a tile has take less time in shorter ones. */
  const size_t height = tokens < TOKENS ? tokens : TOKENS;
  ck_tile_configuration c = {.palette = 1};
  for (int i = 0; i < 8; i++) {
    c.row_bytes[i] = 64;
    c.rows[i] = i == WEIGHTS ? PAIRS : (uint8_t)height;
  }
  ck_configure_tiles(&c);
  scratch s;
  for (size_t t = 0; t < tokens; t += TOKEN_GROUP) {
    const size_t group = tokens - t < TOKEN_GROUP ? tokens - t : TOKEN_GROUP;
    multiply_group(&s, w, x + t * x_stride, x_stride, group, height, out + t * out_stride, out_stride);
  }
  _tile_release();
}

#endif
