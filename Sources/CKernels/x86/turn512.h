/* Bits of sixteen rows side by side. */
#ifndef CK_TURN512_H
#define CK_TURN512_H

#include "avx512.h"
#include "tile256.h"

#if defined(__x86_64__)

CK_AVX512_INLINE __m512i load64(const void *p) { return _mm512_loadu_si512(p); }

CK_AVX512_INLINE __m512i low_nibbles(__m512i q) { return _mm512_and_si512(q, _mm512_set1_epi8(15)); }

/* Sixteen floats of halves. */
CK_AVX512_INLINE __m512 from_halves(const uint16_t halves[CK_TILE_ROWS]) {
  return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)halves));
}

/* A copy that stays one: compilers would gather neighbouring ones in a vector, by shuffles. */
CK_AVX512_INLINE void copy_word(uint32_t *to, const void *from) {
  uint32_t word = ck_load_u32(from);
  __asm__("" : "+r"(word));
  *to = word;
}

CK_AVX512_INLINE void copy_half(uint16_t *to, const void *from) {
  uint32_t half = ck_load_u16(from);
  __asm__("" : "+r"(half));
  *to = (uint16_t)half;
}

CK_AVX512_INLINE void copy_byte(uint8_t *to, const uint8_t *from) {
  uint32_t byte = *from;
  __asm__("" : "+r"(byte));
  *to = (uint8_t)byte;
}

/* Exchanges lanes of 16 bytes: lane g of s[i], of rows 4 * i ..< 4 * i + 4, becomes lane i of whole[g * stride]. */
CK_AVX512_INLINE void put_lanes(__m512i *whole, const int stride, const __m512i s[4]) {
  const __m512i a = _mm512_shuffle_i32x4(s[0], s[1], 0x44), b = _mm512_shuffle_i32x4(s[2], s[3], 0x44);
  const __m512i c = _mm512_shuffle_i32x4(s[0], s[1], 0xee), d = _mm512_shuffle_i32x4(s[2], s[3], 0xee);
  whole[0] = _mm512_shuffle_i32x4(a, b, 0x88);
  whole[stride] = _mm512_shuffle_i32x4(a, b, 0xdd);
  whole[2 * stride] = _mm512_shuffle_i32x4(c, d, 0x88);
  whole[3 * stride] = _mm512_shuffle_i32x4(c, d, 0xdd);
}

/* Sixteen rows of sixteen 32-bit words, columns become rows. */
CK_AVX512_INLINE void turn16(__m512i v[16]) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  /* Word 4 * lane + j of rows 4 * i ..< 4 * i + 4 in b[4 * j + i]. */
  for (int i = 0; i < 4; i++) {
    b[i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
    b[4 + i] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
    b[8 + i] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
    b[12 + i] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
  }
  for (int j = 0; j < 4; j++) put_lanes(v + j, 4, b + 4 * j);
}

/* Level + 128, of a tile's four columns from 4 * i on. */
CK_AVX512_INLINE void put_bytes(ck_scratch256 *s, size_t i, __m512i bytes) {
  _mm512_store_si512(s->bytes[i], bytes);
}

#endif
#endif
