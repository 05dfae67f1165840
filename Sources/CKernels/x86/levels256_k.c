/* Levels with AVX2: the K types. Each is the function of its name in scalar/levels_k.c. */
#include "levels256.h"

#if defined(__x86_64__)

CK_AVX2_INLINE void put_k_scales(uint16_t d, uint16_t dmin, const uint8_t packed[12], float *scales,
                                 float *minima) {
  uint64_t scale_bytes, minimum_bytes;
  ck_unpack_k_scales(packed, &scale_bytes, &minimum_bytes);
  ck_put_scales8(scales, scale_bytes, ck_half8(d));
  ck_put_scales8(minima, minimum_bytes, ck_half8(dmin));
}

CK_AVX2 CK_LEVELS(avx2_levels_Q2_K) {
  const ck_block_Q2_K *b = (const void *)blocks;
  const __m256i three = _mm256_set1_epi8(3);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 16, minima += 16) {
    for (int half = 0; half < 2; half++) {
      const uint64_t packed = ck_load_u64(b->scales + 8 * half);
      ck_put_scales8(scales + 8 * half, packed & 0x0f0f0f0f0f0f0f0f, ck_half8(b->d));
      ck_put_scales8(minima + 8 * half, packed >> 4 & 0x0f0f0f0f0f0f0f0f, ck_half8(b->dmin));
      const __m256i q = ck_load32(b->qs + 32 * half);
      int8_t *to = levels + 128 * half;
      ck_put32(to, _mm256_and_si256(q, three));
      ck_put32(to + 32, _mm256_and_si256(_mm256_srli_epi16(q, 2), three));
      ck_put32(to + 64, _mm256_and_si256(_mm256_srli_epi16(q, 4), three));
      ck_put32(to + 96, _mm256_and_si256(_mm256_srli_epi16(q, 6), three));
    }
  }
}

/* The sixteen 6-bit scales of Q3_K less 32, times `d`. */
CK_AVX2_INLINE void put_q3_scales(const ck_block_Q3_K *b, float *scales) {
  const uint64_t low = ck_load_u64(b->scales);
  const uint32_t high = ck_load_u32(b->scales + 8);
  const uint64_t mask = 0x3030303030303030;
  const uint64_t top = (uint64_t)high << 32 | high;
  /* Bits 4 and 5: the byte's lowest bits for the first four scales, the next ones for the next. */
  const uint64_t first = (top << 4 & 0x30303030) | (top << 2 & 0x3030303000000000);
  const uint64_t second = (top & 0x30303030) | (top >> 2 & 0x3030303000000000);
  const uint64_t parts[2] = {(low & 0x0f0f0f0f0f0f0f0f) | (first & mask),
                             (low >> 4 & 0x0f0f0f0f0f0f0f0f) | (second & mask)};
  const __m256 d = ck_half8(b->d);
  for (int i = 0; i < 2; i++) {
    const __m256i v = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)parts[i]));
    const __m256i centred = _mm256_sub_epi32(v, _mm256_set1_epi32(32));
    _mm256_storeu_ps(scales + 8 * i, _mm256_mul_ps(d, _mm256_cvtepi32_ps(centred)));
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_Q3_K) {
  const ck_block_Q3_K *b = (const void *)blocks;
  const __m256i three = _mm256_set1_epi8(3), four = _mm256_set1_epi8(4);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 16) {
    put_q3_scales(b, scales);
    __m256i mask = ck_load32(b->hmask);
    for (int half = 0; half < 2; half++) {
      __m256i q = ck_load32(b->qs + 32 * half);
      for (int i = 0; i < 4; i++) {
        const __m256i high =
            _mm256_and_si256(_mm256_slli_epi16(mask, 2), four);
        const __m256i code = _mm256_or_si256(_mm256_and_si256(q, three), high);
        ck_put32(levels + 128 * half + 32 * i, _mm256_sub_epi8(code, four));
        q = _mm256_srli_epi16(q, 2);
        mask = _mm256_srli_epi16(mask, 1);
      }
    }
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_Q4_K) {
  const ck_block_Q4_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8, minima += 8) {
    put_k_scales(b->d, b->dmin, b->scales, scales, minima);
    for (int pair = 0; pair < 4; pair++) {
      const __m256i q = ck_load32(b->qs + 32 * pair);
      ck_put32(levels + 64 * pair, ck_low_nibbles32(q));
      ck_put32(levels + 64 * pair + 32, ck_high_nibbles32(q));
    }
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_Q5_K) {
  const ck_block_Q5_K *b = (const void *)blocks;
  const __m256i sixteen = _mm256_set1_epi8(16);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8, minima += 8) {
    put_k_scales(b->d, b->dmin, b->scales, scales, minima);
    __m256i high = ck_load32(b->qh);
    for (int pair = 0; pair < 4; pair++) {
      const __m256i q = ck_load32(b->qs + 32 * pair);
      const __m256i even = _mm256_and_si256(_mm256_slli_epi16(high, 4), sixteen);
      const __m256i odd = _mm256_and_si256(_mm256_slli_epi16(high, 3), sixteen);
      ck_put32(levels + 64 * pair, _mm256_or_si256(ck_low_nibbles32(q), even));
      ck_put32(levels + 64 * pair + 32, _mm256_or_si256(ck_high_nibbles32(q), odd));
      high = _mm256_srli_epi16(high, 2);
    }
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_Q6_K) {
  const ck_block_Q6_K *b = (const void *)blocks;
  const __m256i bits = _mm256_set1_epi8(0x30), offset = _mm256_set1_epi8(32);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 16) {
    const __m128i small = _mm_loadu_si128((const __m128i *)(const void *)b->scales);
    const __m256 d = ck_half8(b->d);
    _mm256_storeu_ps(scales, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(small))));
    _mm256_storeu_ps(scales + 8,
                     _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(
                                          _mm_unpackhi_epi64(small, small)))));
    for (int half = 0; half < 2; half++) {
      const __m256i a = ck_load32(b->ql + 64 * half), c = ck_load32(b->ql + 64 * half + 32);
      const __m256i high = ck_load32(b->qh + 32 * half);
      const __m256i low[4] = {ck_low_nibbles32(a), ck_low_nibbles32(c), ck_high_nibbles32(a),
                              ck_high_nibbles32(c)};
      const __m256i upper[4] = {_mm256_slli_epi16(high, 4), _mm256_slli_epi16(high, 2), high,
                                _mm256_srli_epi16(high, 2)};
      for (int i = 0; i < 4; i++) {
        const __m256i q = _mm256_or_si256(low[i], _mm256_and_si256(upper[i], bits));
        ck_put32(levels + 128 * half + 32 * i, _mm256_sub_epi8(q, offset));
      }
    }
  }
}

#endif
