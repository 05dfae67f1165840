/* Levels with AVX-512: types with 256 weights a block. Each is the function of its name in
 * scalar/levels_*.c. */
#include "avx512.h"

#include "../internal/codebooks.h"
#include "../internal/tables.h"

#if defined(__x86_64__)

CK_AVX512_INLINE __m512i load64(const void *p) { return _mm512_loadu_si512(p); }

CK_AVX512_INLINE void put64(int8_t *levels, __m512i v) { _mm512_storeu_si512(levels, v); }

/* Byte shifts: what comes over from the neighbour is masked out by the caller. */
CK_AVX512_INLINE __m512i right(__m512i v, unsigned bits) { return _mm512_srli_epi16(v, bits); }

CK_AVX512_INLINE __m512i low_nibbles(__m512i v) {
  return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

/* 32 bytes twice, the first copy shifted right by `a` bits and the second by `b`. */
CK_AVX512_INLINE __m512i shifted_copies(const uint8_t *p, int a, int b) {
  const __m512i v = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)p));
  const __m512i shifts = _mm512_inserti64x4(_mm512_set1_epi16((short)a),
                                            _mm256_set1_epi16((short)b), 1);
  return _mm512_srlv_epi16(v, shifts);
}

/* factor * each of eight bytes */
CK_AVX512_INLINE void put_scales8(float *scales, uint64_t bytes, float factor) {
  const __m256i v = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
  _mm256_storeu_ps(scales, _mm256_mul_ps(_mm256_set1_ps(factor), _mm256_cvtepi32_ps(v)));
}

CK_AVX512_INLINE void put_k_scales(uint16_t d, uint16_t dmin, const uint8_t packed[12],
                                   float *scales, float *minima) {
  uint64_t scale_bytes, minimum_bytes;
  ck_unpack_k_scales(packed, &scale_bytes, &minimum_bytes);
  put_scales8(scales, scale_bytes, _cvtsh_ss(d));
  put_scales8(minima, minimum_bytes, _cvtsh_ss(dmin));
}

CK_AVX512 CK_LEVELS(avx512_levels_Q4_K) {
  const ck_block_Q4_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8, minima += 8) {
    put_k_scales(b->d, b->dmin, b->scales, scales, minima);
    for (int half = 0; half < 2; half++) {
      const __m512i q = load64(b->qs + 64 * half);
      const __m512i even = low_nibbles(q), odd = low_nibbles(right(q, 4));
      put64(levels + 128 * half, _mm512_shuffle_i64x2(even, odd, 0x44));
      put64(levels + 128 * half + 64, _mm512_shuffle_i64x2(even, odd, 0xee));
    }
  }
}

CK_AVX512 CK_LEVELS(avx512_levels_Q5_K) {
  const ck_block_Q5_K *b = (const void *)blocks;
  const __m512i one = _mm512_set1_epi8(1);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8, minima += 8) {
    put_k_scales(b->d, b->dmin, b->scales, scales, minima);
    for (int half = 0; half < 2; half++) {
      const __m512i q = load64(b->qs + 64 * half);
      const __m512i even = low_nibbles(q), odd = low_nibbles(right(q, 4));
      for (int pair = 0; pair < 2; pair++) {
        const int group = 4 * half + 2 * pair;
        const __m512i high = _mm512_and_si512(shifted_copies(b->qh, group, group + 1), one);
        const __m512i low = pair ? _mm512_shuffle_i64x2(even, odd, 0xee)
                                 : _mm512_shuffle_i64x2(even, odd, 0x44);
        put64(levels + 32 * group, _mm512_or_si512(low, _mm512_slli_epi16(high, 4)));
      }
    }
  }
}

CK_AVX512 CK_LEVELS(avx512_levels_Q6_K) {
  const ck_block_Q6_K *b = (const void *)blocks;
  const __m512i three = _mm512_set1_epi8(3), offset = _mm512_set1_epi8(32);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 16) {
    const __m128i small = _mm_loadu_si128((const __m128i *)(const void *)b->scales);
    _mm512_storeu_ps(scales, _mm512_mul_ps(_mm512_set1_ps(_cvtsh_ss(b->d)),
                                           _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(small))));
    for (int half = 0; half < 2; half++) {
      const __m512i low = load64(b->ql + 64 * half);
      for (int pair = 0; pair < 2; pair++) {
        const __m512i high =
            _mm512_and_si512(shifted_copies(b->qh + 32 * half, 4 * pair, 4 * pair + 2), three);
        const __m512i q = _mm512_or_si512(low_nibbles(pair ? right(low, 4) : low),
                                          _mm512_slli_epi16(high, 4));
        put64(levels + 128 * half + 64 * pair, _mm512_sub_epi8(q, offset));
      }
    }
  }
}

CK_AVX512 CK_LEVELS(avx512_levels_IQ4_XS) {
  const ck_block_IQ4_XS *b = (const void *)blocks;
  const __m512i values =
      _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)ck_iq4_values));
  const __m256i steps = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8) {
    const __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32((int)ck_load_u32(b->scales_l)),
                                          _mm256_slli_epi32(steps, 2));
    const __m256i high =
        _mm256_srlv_epi32(_mm256_set1_epi32(b->scales_h), _mm256_slli_epi32(steps, 1));
    const __m256i scale = _mm256_or_si256(
        _mm256_and_si256(low, _mm256_set1_epi32(15)),
        _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4));
    _mm256_storeu_ps(
        scales, _mm256_mul_ps(_mm256_set1_ps(_cvtsh_ss(b->d)),
                              _mm256_cvtepi32_ps(_mm256_sub_epi32(scale, _mm256_set1_epi32(32)))));
    for (int half = 0; half < 2; half++) {
      const __m512i q = load64(b->qs + 64 * half);
      const __m512i head = _mm512_shuffle_epi8(values, low_nibbles(q));
      const __m512i tail = _mm512_shuffle_epi8(values, low_nibbles(right(q, 4)));
      put64(levels + 128 * half, _mm512_permutex2var_epi64(head, first, tail));
      put64(levels + 128 * half + 64, _mm512_permutex2var_epi64(head, second, tail));
    }
  }
}

/* The book, one plane for each of a row's four values. */
#define PLANE0(code) CK_IQ3_XXS_VALUE((code) & 7),
#define PLANE1(code) CK_IQ3_XXS_VALUE((code) >> 3 & 7),
#define PLANE2(code) CK_IQ3_XXS_VALUE((code) >> 6 & 7),
#define PLANE3(code) CK_IQ3_XXS_VALUE((code) >> 9 & 7),
static const _Alignas(64) uint8_t iq3_xxs_planes[4][256] = {
    {CK_IQ3_XXS_CODES(PLANE0)},
    {CK_IQ3_XXS_CODES(PLANE1)},
    {CK_IQ3_XXS_CODES(PLANE2)},
    {CK_IQ3_XXS_CODES(PLANE3)},
};

/* plane[index] for 64 indices: two lookups of 128 entries, chosen by the top bit. */
CK_AVX512_INLINE __m512i look_up(const uint8_t plane[256], __m512i index, __mmask64 is_upper) {
  const __m512i low = _mm512_permutex2var_epi8(load64(plane), index, load64(plane + 64));
  const __m512i high = _mm512_permutex2var_epi8(load64(plane + 128), index, load64(plane + 192));
  return _mm512_mask_blend_epi8(is_upper, low, high);
}

/* The 256 signs of a block, one bit a weight, in order. */
CK_AVX512_INLINE __m256i signs_of(__m256i packed) {
  const __m256i fields = _mm256_set1_epi64x(0x352e2720150e0700LL);
  const __m256i index = _mm256_and_si256(_mm256_multishift_epi64_epi8(fields, packed),
                                         _mm256_set1_epi8(0x7f));
  const __m256i odd = _mm256_and_si256(_mm256_popcnt_epi8(index), _mm256_set1_epi8(1));
  return _mm256_or_si256(index, _mm256_slli_epi16(odd, 7));
}

CK_AVX512_INLINE void put_signed(int8_t *levels, __m512i magnitudes, uint64_t signs) {
  put64(levels, _mm512_mask_sub_epi8(magnitudes, signs, _mm512_setzero_si512(), magnitudes));
}

CK_AVX512 CK_LEVELS(avx512_levels_IQ3_XXS) {
  const ck_block_IQ3_XXS *b = (const void *)blocks;
  /* Unpacking works in lanes of 16 bytes; in this order of indices its results are in order. */
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8) {
    const __m256i packed = _mm256_loadu_si256((const __m256i *)(const void *)b->scales_and_signs);
    const __m256 small = _mm256_cvtepi32_ps(_mm256_srli_epi32(packed, 28));
    _mm256_storeu_ps(scales, _mm256_mul_ps(_mm256_set1_ps(0.5f * _cvtsh_ss(b->d)),
                                           _mm256_add_ps(small, _mm256_set1_ps(0.5f))));
    uint64_t signs[4];
    _mm256_storeu_si256((__m256i *)(void *)signs, signs_of(packed));
    const __m512i index = _mm512_permutexvar_epi32(order, load64(b->qs));
    const __mmask64 is_upper = _mm512_movepi8_mask(index);
    const __m512i p0 = look_up(iq3_xxs_planes[0], index, is_upper);
    const __m512i p1 = look_up(iq3_xxs_planes[1], index, is_upper);
    const __m512i p2 = look_up(iq3_xxs_planes[2], index, is_upper);
    const __m512i p3 = look_up(iq3_xxs_planes[3], index, is_upper);
    const __m512i low01 = _mm512_unpacklo_epi8(p0, p1), high01 = _mm512_unpackhi_epi8(p0, p1);
    const __m512i low23 = _mm512_unpacklo_epi8(p2, p3), high23 = _mm512_unpackhi_epi8(p2, p3);
    put_signed(levels, _mm512_unpacklo_epi16(low01, low23), signs[0]);
    put_signed(levels + 64, _mm512_unpackhi_epi16(low01, low23), signs[1]);
    put_signed(levels + 128, _mm512_unpacklo_epi16(high01, high23), signs[2]);
    put_signed(levels + 192, _mm512_unpackhi_epi16(high01, high23), signs[3]);
  }
}

#endif
