/* How AVX-512 multiplies tiles of quantised weights, for those who bring other products of a tile. */
#ifndef CK_TILE512_H
#define CK_TILE512_H

#include "rows512.h"
#include "tile256.h"

#if defined(__x86_64__)

/* Adds what group `g` of the tile gives: `whole` times both scales, less the minimum's share, which is that
 * of a minimum of 1. */
CK_AVX512_INLINE __m512 ck_add_group512(const ck_scratch256 *s, __m512 sums, size_t g, __m512i whole, float step,
                                        float share, const bool has_minima) {
  const __m512 scale = _mm512_mul_ps(_mm512_load_ps(s->scales[g]), _mm512_set1_ps(step));
  sums = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale, sums);
  return has_minima ? _mm512_fmadd_ps(_mm512_load_ps(s->minima[g]), _mm512_set1_ps(share), sums) : sums;
}

/* Tiles whose rows meet the tokens together. */
enum { CK_MOST_TILES = 2 };

/* Adds to the sums of tokens `first` ..< `tokens` what the one or two tiles at `column` of `count` columns
 * give. */
typedef void ck_avx512_product(ck_scratch256 *s, size_t tiles, const ck_token512 *x, size_t first,
                               size_t tokens, size_t column, size_t count);

/* Products by width of the activations (16 bits: 1), weights that share a scale (32: 1, 16: 0), and whether
 * there are minima. */
typedef ck_avx512_product *const ck_avx512_products[2][2][2];

extern ck_avx512_products ck_avx512_vnni_products;

/* multiply_quantized of ckernels.h, in which several tokens meet tiles by `products`. */
void ck_avx512_multiply_with(ck_avx512_products products, ck_matrix w, const void *x,
                             const int32_t *list, size_t tokens, bool is_wide, float *out,
                             size_t out_stride);

#endif
#endif
