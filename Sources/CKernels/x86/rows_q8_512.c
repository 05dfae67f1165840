/* One token by rows of Q8_0 with AVX-512. The layout is that of decode_blocks32.c. */
#include "rows_block512.h"

#if defined(__x86_64__)

/* Levels of two blocks, 128 added. */
CK_AVX512_INLINE __m512i load_two(const ck_block_Q8_0 b[2]) {
  const __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)b[0].qs);
  const __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)b[1].qs);
  const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
  return _mm512_xor_si512(both, _mm512_set1_epi8((char)0x80));
}

CK_AVX512_INLINE void Q8_0_halves(blocks16 b, const activations256 *x, columns256 *c, const int halves,
                                  const bool is_wide) {
  _Alignas(64) uint16_t scales[8][CK_TILE_ROWS];
  for (int r = 0; r < CK_TILE_ROWS; r++) {
    const ck_block_Q8_0 *blocks = row_at(b, r);
    for (int g = 0; g < 4 * halves; g++) copy_half(&scales[g][r], &blocks[g].d);
  }
  __m512i sums[2][4];
  for (int i = 0; i < 4; i++) {
    __m512i v[4][4];
    for (int r = 0; r < 4; r++) {
      const ck_block_Q8_0 *blocks = take_row(b, 4 * i + r, 4 * (size_t)halves * sizeof *blocks);
      for (int pair = 0; pair < 2 * halves; pair++) {
        v[pair][r] = multiply_one(load_two(blocks + 2 * pair), x, pair, is_wide);
      }
    }
    for (int half = 0; half < halves; half++) {
      /* The halves of two groups in a vector's lanes, then each of the four groups in a lane. */
      const __m512i first = add_rows(v[2 * half], 0), second = add_rows(v[2 * half + 1], 0);
      sums[half][i] = _mm512_add_epi32(_mm512_shuffle_i32x4(first, second, 0x88),
                                       _mm512_shuffle_i32x4(first, second, 0xdd));
    }
  }
  for (int half = 0; half < halves; half++) put_lanes(c->whole + 4 * half, 1, sums[half]);
  for (int g = 0; g < 4 * halves; g++) c->scales[g] = from_halves(scales[g]);
}

CK_DEFINE_HALF_ROWS(Q8_0, load_in_order, 128)

#endif
