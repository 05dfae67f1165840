/* Super-blocks of eight groups with a scale and a minimum of six bits each: Q4_K, Q5_K.
 *
 * An element is a q - b with q in 0 ... top. For given codes the best a and b follow from weighted least
 * squares; b is not negative, as the format has it. */
#include "half.h"
#include "scale_search.h"

typedef struct line {
  float a, b;
} line;

/* sum(w q), sum(w q q), sum(w x q) of a group's codes. */
typedef struct code_sums {
  float q, qq, xq;
} code_sums;

/* sum(w), sum(w x) of a group. */
typedef struct group_totals {
  float w, x;
} group_totals;

CQ_INLINE code_sums line_sums(const group *g, line at, float top) {
  lanes q1 = lanes_of(0), q2 = lanes_of(0), xq = lanes_of(0);
  const lanes inverse = lanes_of(at.a == 0 ? 0 : 1 / at.a), b = lanes_of(at.b);
  for (int i = 0; i < 4; i++) {
    const lanes q = lanes_clamped_round((g->x[i] + b) * inverse, 0, top);
    const lanes wq = g->w[i] * q;
    q1 += wq;
    q2 += wq * q;
    xq += g->wx[i] * q;
  }
  return (code_sums){lanes_sum(q1), lanes_sum(q2), lanes_sum(xq)};
}

/* sum(w (a q - b - x)^2) */
CQ_INLINE float line_error(const group *g, group_totals t, code_sums s, line at) {
  return g->energy + at.a * (at.a * s.qq - 2 * s.xq - 2 * at.b * s.q) +
         at.b * (at.b * t.w + 2 * t.x);
}

/* The best line for given codes. */
CQ_INLINE line line_fit(group_totals t, code_sums s) {
  const float determinant = t.w * s.qq - s.q * s.q;
  if (determinant > 0) {
    const line fit = {(t.w * s.xq - t.x * s.q) / determinant,
                      (s.q * s.xq - s.qq * t.x) / determinant};
    if (fit.b >= 0 && fit.a > 0) return fit;
  }
  return (line){s.qq > 0 ? s.xq / s.qq : 0, 0};
}

/* The line of least error of a group, searched alone. */
CQ_INLINE line group_best_line(const group *g, group_totals t, float top, int steps, float first,
                               float step) {
  lanes low = lanes_of(0), high = g->x[0];
  for (int i = 0; i < 4; i++) {
    low = lanes_min(low, g->x[i]);
    high = lanes_max(high, g->x[i]);
  }
  const float least = lanes_least(low), most = lanes_greatest(high);
  line best = {0, -least};
  code_sums none = {0, 0, 0};
  float best_error = line_error(g, t, none, best);
  if (!(most > least)) return best;
  for (int i = 0; i <= steps; i++) {
    line at = {(most - least) / (top + first + step * (float)i), -least};
    /* The first fit moves the minimum as well, the second the codes along. */
    for (int turn = 0; turn < 2; turn++) {
      const code_sums s = line_sums(g, at, top);
      at = line_fit(t, s);
      const float error = line_error(g, t, s, at);
      if (!(error < best_error)) {
        if (turn > 0) break;
        continue;
      }
      best_error = error;
      best = at;
    }
  }
  return best;
}

typedef struct minima_block {
  uint16_t d, dmin;
  int scale[8], minimum[8];
} minima_block;

/* The line that stored integers stand for. */
CQ_INLINE line stored_line(float d, float dmin, int scale, int minimum) {
  return (line){d * (float)scale, dmin * (float)minimum};
}

/* Integers of one group: those about the wanted ones, the best pair of them with the codes chosen
 * again. Returns the error. */
CQ_INLINE float choose_pair(const group *g, group_totals t, float top, line wanted, float d, float dmin,
                            int *scale, int *minimum, code_sums *sums) {
  const float per_d = d == 0 ? 0 : 1 / d, per_dmin = dmin == 0 ? 0 : 1 / dmin;
  const int scale0 = (int)scalar_clamp(wanted.a * per_d, 0, 63);
  const int minimum0 = (int)scalar_clamp(wanted.b * per_dmin, 0, 63);
  float least = 0;
  int isFirst = 1;
  for (int i = 0; i < 2; i++) {
    if (scale0 + i > 63) break;
    for (int j = 0; j < 2; j++) {
      if (minimum0 + j > 63) break;
      const line at = stored_line(d, dmin, scale0 + i, minimum0 + j);
      const code_sums s = line_sums(g, at, top);
      const float error = line_error(g, t, s, at);
      if (!isFirst && !(error < least)) continue;
      isFirst = 0;
      least = error;
      *scale = scale0 + i;
      *minimum = minimum0 + j;
      *sums = s;
    }
  }
  return least;
}

CQ_INLINE void fit_minima(const group g[8], float top, int steps, float first, float step,
                          minima_block *best) {
  group_totals t[8];
  line wanted[8];
  float largest_a = 0, largest_b = 0, least = 0;
  for (int i = 0; i < 8; i++) {
    lanes w = lanes_of(0), x = lanes_of(0);
    for (int j = 0; j < 4; j++) {
      w += g[i].w[j];
      x += g[i].wx[j];
    }
    t[i] = (group_totals){lanes_sum(w), lanes_sum(x)};
    wanted[i] = group_best_line(&g[i], t[i], top, steps, first, step);
    largest_a = CQ_MORE(largest_a, wanted[i].a);
    largest_b = CQ_MORE(largest_b, wanted[i].b);
    least += g[i].energy;
  }
  float d = half_rounded(largest_a / 63), dmin = half_rounded(largest_b / 63);
  /* Zeros, unless something is better: factors far below the range of a float16 round badly. */
  memset(best, 0, sizeof *best);
  for (int turn = 0; turn < 3; turn++) {
    minima_block tried = {half_from_float(d), half_from_float(dmin), {0}, {0}};
    float error = 0;
    /* Normal equations of d and dmin over all groups: x = d (s q) - dmin m. */
    float ss = 0, sm = 0, mm = 0, xs = 0, xm = 0;
    for (int i = 0; i < 8; i++) {
      code_sums s = {0, 0, 0};
      error += choose_pair(&g[i], t[i], top, wanted[i], d, dmin, &tried.scale[i], &tried.minimum[i], &s);
      const float scale = (float)tried.scale[i], minimum = (float)tried.minimum[i];
      ss += scale * scale * s.qq;
      sm += scale * minimum * s.q;
      mm += minimum * minimum * t[i].w;
      xs += scale * s.xq;
      xm += minimum * t[i].x;
    }
    if (error < least) {
      least = error;
      *best = tried;
    }
    const float determinant = ss * mm - sm * sm;
    if (determinant > 0) {
      d = half_rounded((xs * mm - sm * xm) / determinant);
      dmin = half_rounded((sm * xs - ss * xm) / determinant);
      if (dmin < 0) dmin = 0;
    } else if (ss > 0) {
      d = half_rounded(xs / ss);
    }
    if (d < 0) break;
  }
}

/* Scales and minima as ck_unpack_k_scales reads them. */
CQ_INLINE void pack_minima(const minima_block *b, uint8_t packed[12]) {
  for (int i = 0; i < 4; i++) {
    packed[i] = (uint8_t)(b->scale[i] | (b->scale[i + 4] >> 4) << 6);
    packed[i + 4] = (uint8_t)(b->minimum[i] | (b->minimum[i + 4] >> 4) << 6);
    packed[i + 8] = (uint8_t)((b->scale[i + 4] & 15) | (b->minimum[i + 4] & 15) << 4);
  }
}

/* The codes of the super-block, one a byte, in the order of the elements. */
CQ_INLINE void minima_codes(const group g[8], const minima_block *b, float top, uint8_t codes[256]) {
  const float d = ck_float_from_half(b->d), dmin = ck_float_from_half(b->dmin);
  for (int i = 0; i < 8; i++) {
    const line at = stored_line(d, dmin, b->scale[i], b->minimum[i]);
    const lanes inverse = lanes_of(at.a == 0 ? 0 : 1 / at.a), offset = lanes_of(at.b);
    for (int j = 0; j < 4; j++) {
      const lanes q = lanes_clamped_round((g[i].x[j] + offset) * inverse, 0, top);
      for (int k = 0; k < CQ_LANES; k++) codes[32 * i + CQ_LANES * j + k] = (uint8_t)q[k];
    }
  }
}

CQ_INLINE void load_minima_groups(group g[8], const float *x, const float *weights) {
  for (int i = 0; i < 8; i++) group_load(&g[i], x + 32 * i, weights ? weights + 32 * i : NULL, 4);
}

static void encode_Q4_K(const float *x, const float *weights, size_t columns, uint8_t *out) {
  ck_block_Q4_K *block = (void *)out;
  for (size_t c = 0; c < columns; c += CK_SUPER, block++) {
    group g[8];
    minima_block b;
    uint8_t codes[256];
    load_minima_groups(g, x + c, weights ? weights + c : NULL);
    fit_minima(g, 15, 12, -0.9f, 0.25f, &b);
    minima_codes(g, &b, 15, codes);
    block->d = b.d;
    block->dmin = b.dmin;
    pack_minima(&b, block->scales);
    for (int i = 0; i < 128; i++) {
      const int element = i / 32 * 64 + i % 32;
      block->qs[i] = (uint8_t)(codes[element] | codes[element + 32] << 4);
    }
  }
}

static void encode_Q5_K(const float *x, const float *weights, size_t columns, uint8_t *out) {
  ck_block_Q5_K *block = (void *)out;
  for (size_t c = 0; c < columns; c += CK_SUPER, block++) {
    group g[8];
    minima_block b;
    uint8_t codes[256];
    load_minima_groups(g, x + c, weights ? weights + c : NULL);
    fit_minima(g, 31, 12, -0.9f, 0.25f, &b);
    minima_codes(g, &b, 31, codes);
    block->d = b.d;
    block->dmin = b.dmin;
    pack_minima(&b, block->scales);
    for (int i = 0; i < 128; i++) {
      const int element = i / 32 * 64 + i % 32;
      block->qs[i] = (uint8_t)((codes[element] & 15) | (codes[element + 32] & 15) << 4);
    }
    for (int i = 0; i < 32; i++) {
      unsigned high = 0;
      for (int j = 0; j < 8; j++) high |= (unsigned)(codes[32 * j + i] >> 4) << j;
      block->qh[i] = (uint8_t)high;
    }
  }
}
