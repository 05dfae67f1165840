/* Super-blocks whose groups have small signed integer scales times one float16: Q6_K, IQ4_XS.
 *
 * Every group is searched alone. The largest scale then gets the largest integer; the others may go to
 * either of the integers about them, whichever leaves less error with the levels chosen again; last the
 * common factor is fitted to all levels by least squares. */
#include "half.h"
#include "scale_search.h"

#define CQ_MAX_GROUPS 16

/* Groups of a super-block and the range of their scales. */
typedef struct scaled_groups {
  enum book book;
  int groups, count; /* groups of `count` lanes */
  int limit;         /* scales are -limit ... limit - 1 */
} scaled_groups;

/* The better of the two integers about scale / factor for every group; returns the error. */
CQ_INLINE float choose_scales(const group *g, scaled_groups shape, const float *scale, float factor,
                              int *chosen, level_sums *total) {
  float error = 0;
  *total = (level_sums){0, 0};
  const float inverse = 1 / factor;
  for (int i = 0; i < shape.groups; i++) {
    const float wanted =
        scalar_clamp(scale[i] * inverse, (float)-shape.limit, (float)(shape.limit - 1));
    const int nearest = (int)scalar_round(wanted);
    const int other = (float)nearest < wanted ? nearest + 1 : nearest - 1;
    level_sums sums;
    chosen[i] = nearest;
    float least = group_error(&g[i], shape.count, shape.book, factor * (float)nearest, &sums);
    if (other >= -shape.limit && other < shape.limit) {
      level_sums others;
      const float e = group_error(&g[i], shape.count, shape.book, factor * (float)other, &others);
      if (e < least) {
        least = e;
        sums = others;
        chosen[i] = other;
      }
    }
    error += least;
    total->xl += (float)chosen[i] * sums.xl;
    total->ll += (float)(chosen[i] * chosen[i]) * sums.ll;
  }
  return error;
}

/* Loads the groups, chooses their scales and returns the float16 factor. */
CQ_INLINE uint16_t fit_scaled_groups(const float *x, const float *weights, scaled_groups shape,
                                     search_range range, group *g, int *chosen) {
  float scale[CQ_MAX_GROUPS], largest = 0, least = 0;
  for (int i = 0; i < shape.groups; i++) {
    const int start = i * shape.count * CQ_LANES;
    group_load(&g[i], x + start, weights ? weights + start : NULL, shape.count);
    scale[i] = group_best_scale(&g[i], shape.count, shape.book, range);
    if (scalar_abs(scale[i]) > scalar_abs(largest)) largest = scale[i];
    least += g[i].energy;
    chosen[i] = 0;
  }
  uint16_t best = 0;
  float factor = half_rounded(-largest / (float)shape.limit);
  for (int turn = 0; turn < 2 && factor != 0; turn++) {
    int tried[CQ_MAX_GROUPS];
    level_sums total;
    const float error = choose_scales(g, shape, scale, factor, tried, &total);
    if (error < least) {
      least = error;
      best = half_from_float(factor);
      memcpy(chosen, tried, sizeof(int) * (size_t)shape.groups);
    }
    if (!(total.ll > 0)) break;
    factor = half_rounded(total.xl / total.ll);
  }
  return best;
}

static void encode_IQ4_XS(const float *x, const float *weights, size_t columns, uint8_t *out) {
  const scaled_groups shape = {BOOK_IQ4, 8, 4, 32};
  ck_block_IQ4_XS *block = (void *)out;
  for (size_t c = 0; c < columns; c += CK_SUPER, block++) {
    group g[8];
    int scales[CQ_MAX_GROUPS];
    block->d = fit_scaled_groups(x + c, weights ? weights + c : NULL, shape,
                                 (search_range){10, 0.75f, 0.042f}, g, scales);
    const float d = ck_float_from_half(block->d);
    block->scales_h = 0;
    memset(block->scales_l, 0, sizeof block->scales_l);
    for (int i = 0; i < 8; i++) {
      const unsigned stored = (unsigned)(scales[i] + 32);
      block->scales_l[i / 2] |= (uint8_t)((stored & 15) << (i % 2 * 4));
      block->scales_h |= (uint16_t)((stored >> 4) << (2 * i));
      put_nibbles(&g[i], BOOK_IQ4, d * (float)scales[i], block->qs + 16 * i);
    }
  }
}

static void encode_Q6_K(const float *x, const float *weights, size_t columns, uint8_t *out) {
  const scaled_groups shape = {BOOK_6_BIT, 16, 2, 128};
  ck_block_Q6_K *block = (void *)out;
  for (size_t c = 0; c < columns; c += CK_SUPER, block++) {
    group g[16];
    int scales[CQ_MAX_GROUPS];
    block->d = fit_scaled_groups(x + c, weights ? weights + c : NULL, shape,
                                 (search_range){10, 0.9f, 0.0125f}, g, scales);
    const float d = ck_float_from_half(block->d);
    memset(block->ql, 0, sizeof block->ql);
    memset(block->qh, 0, sizeof block->qh);
    for (int i = 0; i < 16; i++) {
      block->scales[i] = (int8_t)scales[i];
      const float scale = d * (float)scales[i], inverse = scale == 0 ? 0 : 1 / scale;
      float level[16];
      for (int j = 0; j < 2; j++) {
        lanes_store(level + CQ_LANES * j, book_nearest(BOOK_6_BIT, g[i].x[j] * lanes_of(inverse)));
      }
      for (int j = 0; j < 16; j++) {
        /* Of each 128: quarters 0 and 1 in the low nibbles of 64 bytes, 2 and 3 in the high ones. */
        const int element = 16 * i + j, half = element / 128, quarter = element / 32 % 4;
        const unsigned code = book_code(BOOK_6_BIT, level[j]);
        block->ql[64 * half + element % 64] |= (uint8_t)((code & 15) << (quarter / 2 * 4));
        block->qh[32 * half + element % 32] |= (uint8_t)((code >> 4) << (quarter * 2));
      }
    }
  }
}
