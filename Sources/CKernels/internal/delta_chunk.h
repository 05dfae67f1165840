/* Steps of the gated delta net for a vector unit, which the including file gives:
 *     VECTOR, LANES (4, 8 or 16), INLINE   the type, its floats, what every function here is declared with
 *     LOAD(p) STORE(p, x) SET(x)           unaligned; all lanes alike
 *     MULTIPLY(a, b) SUBTRACT(a, b)        a * b, a - b
 *     MULTIPLY_ADD(a, b, sum)              a * b + sum, rounded once
 *     SUMS8(a, b, count, s)                s[j] = sum over i of a[8 * i + j] * b[8 * i + j], each rounded once
 *     TILE_TOKENS (3 or 4), TILE_COLUMNS   tokens whose products with so many columns (16 or 32) keep their sums
 *                                          in the registers
 *
 * A state that every token reads and writes waits for memory, and many tokens wait for the cache. Here up to
 * CK_DELTA_CHUNK tokens leave it as it is: token t answers from it and from the updates of tokens i <= t that
 * wait, with D the decay between two tokens (Yang et al., "Gated Delta Networks", arXiv:2412.06464, section
 * 3.3, the triangular system solved token by token),
 *     u_t   = beta_t (v_t - D(0, t) S^T k_t - sum over i < t  of D(i, t) (k_i . k_t) u_i)
 *     out_t =         (      D(0, t) S^T q_t + sum over i <= t of D(i, t) (k_i . q_t) u_i) / sqrt(dim)
 * and then all updates are added at once, S = D(0, t) S + sum over i of D(i, t) k_i u_i^T. Every sum has one
 * order, which depends on the token's place in its chunk and not on how many tokens a call brings. */
#include "delta_state.h"

#include <math.h>
#include <string.h>

/* Value indices that pass through all steps before the next: 16 KiB of a state of 128 key indices. One token meets
 * DELTA_ROWS rows of the whole state after the other, as they lie in memory. DELTA_STEP value indices are the fewest
 * at once. */
enum {
  DELTA_COLUMNS = 32,
  DELTA_ROWS = 8,
  DELTA_KEYS = 128,
  DELTA_STEP = LANES > 8 ? LANES : 8,
};

/* A segment: tokens that one call adds to those that wait. */
typedef struct {
  ck_delta_state state;
  ck_delta_tokens tokens; /* from its first one on */
  size_t waiting, count, dim;
  float keep[CK_DELTA_CHUNK]; /* D(0, t) */
  /* D(i, t) (k_i . k_t) and D(i, t) (k_i . q_t) */
  float with_keys[CK_DELTA_CHUNK][2][CK_DELTA_CHUNK];
} delta_segment;

/* Eight sums of `count` products, a multiple of 8, and the sum of those. */
INLINE float delta_dot(const float *a, const float *b, size_t count) {
  float s[8];
  SUMS8(a, b, count, s);
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* Appends the segment's keys, and finds what its tokens have in common with each other's keys. */
INLINE void delta_meet_keys(delta_segment *s) {
  const ck_delta_state own = s->state;
  for (size_t t = 0; t < s->count; t++) {
    const float *k = s->tokens.k + t * s->tokens.stride, *q = s->tokens.q + t * s->tokens.stride;
    const size_t last = s->waiting + t;
    const float decay = (float)exp((double)s->tokens.gate[t * s->tokens.gate_stride]);
    memcpy(own.keys + last * s->dim, k, s->dim * sizeof(float));
    s->keep[t] = *own.keep *= decay;
    own.decays[last] = 1;
    for (size_t i = 0; i <= last; i++) {
      const float *key = own.keys + i * s->dim;
      if (i < last) own.decays[i] *= decay;
      s->with_keys[t][0][i] = own.decays[i] * delta_dot(key, k, s->dim);
      s->with_keys[t][1][i] = own.decays[i] * delta_dot(key, q, s->dim);
    }
  }
}

/* Adds to `out[2 * t]` and `out[2 * t + 1]`, `out_stride` floats apart: elements `from` ..< `to` of k and q of
 * `tokens` tokens from `first` on times `vectors` vectors of the rows at `values`, `stride` floats apart. */
INLINE void delta_recall(const delta_segment *s, const float *values, size_t stride, size_t from,
                         size_t to, size_t first, float *out, size_t out_stride, const int tokens,
                         const int vectors) {
  const float *k = s->tokens.k + first * s->tokens.stride;
  const float *q = s->tokens.q + first * s->tokens.stride;
  VECTOR sums[2 * TILE_TOKENS][DELTA_COLUMNS / LANES];
  for (int r = 0; r < 2 * tokens; r++) {
    for (int j = 0; j < vectors; j++) {
      sums[r][j] = from ? LOAD(out + (size_t)r * out_stride + LANES * j) : SET(0);
    }
  }
  for (size_t i = from; i < to; i++) {
    VECTOR here[DELTA_COLUMNS / LANES];
    for (int j = 0; j < vectors; j++) here[j] = LOAD(values + i * stride + LANES * j);
    for (int t = 0; t < tokens; t++) {
      const VECTOR key = SET(k[(size_t)t * s->tokens.stride + i]);
      const VECTOR query = SET(q[(size_t)t * s->tokens.stride + i]);
      for (int j = 0; j < vectors; j++) {
        sums[2 * t][j] = MULTIPLY_ADD(key, here[j], sums[2 * t][j]);
        sums[2 * t + 1][j] = MULTIPLY_ADD(query, here[j], sums[2 * t + 1][j]);
      }
    }
  }
  for (int r = 0; r < 2 * tokens; r++) {
    for (int j = 0; j < vectors; j++) STORE(out + (size_t)r * out_stride + LANES * j, sums[r][j]);
  }
}

/* The same over all key indices in order, for all tokens of the segment. */
INLINE void delta_recall_all(const delta_segment *s, const float *values, size_t stride,
                             float out[][2][DELTA_COLUMNS], size_t column, const int vectors) {
  for (size_t t = 0; t < s->count; t += TILE_TOKENS) {
    float *to = out[t][0] + column;
    const size_t left = s->count - t;
    if (left >= TILE_TOKENS) {
      delta_recall(s, values, stride, 0, s->dim, t, to, DELTA_COLUMNS, TILE_TOKENS, vectors);
    } else if (left == 3) {
      delta_recall(s, values, stride, 0, s->dim, t, to, DELTA_COLUMNS, 3, vectors);
    } else if (left == 2) {
      delta_recall(s, values, stride, 0, s->dim, t, to, DELTA_COLUMNS, 2, vectors);
    } else {
      delta_recall(s, values, stride, 0, s->dim, t, to, DELTA_COLUMNS, 1, vectors);
    }
  }
}

/* Updates and answers of all tokens for `vectors` vectors of value indices from `c` on. `recalled` has what their
 * k and q recall from S: rows of `stride` floats. */
INLINE void delta_answer(const delta_segment *s, size_t c, const float *recalled, size_t stride,
                         float scale, const int vectors) {
  for (size_t t = 0; t < s->count; t++, recalled += 2 * stride) {
    VECTOR known[DELTA_COLUMNS / LANES], answer[DELTA_COLUMNS / LANES];
    const VECTOR keep = SET(s->keep[t]);
    for (int j = 0; j < vectors; j++) {
      known[j] = MULTIPLY(keep, LOAD(recalled + LANES * j));
      answer[j] = MULTIPLY(keep, LOAD(recalled + stride + LANES * j));
    }
    const size_t before = s->waiting + t;
    float *update = s->state.updates + c;
    for (size_t i = 0; i < before; i++, update += s->dim) {
      const VECTOR key = SET(s->with_keys[t][0][i]), query = SET(s->with_keys[t][1][i]);
      for (int j = 0; j < vectors; j++) {
        const VECTOR u = LOAD(update + LANES * j);
        known[j] = MULTIPLY_ADD(key, u, known[j]);
        answer[j] = MULTIPLY_ADD(query, u, answer[j]);
      }
    }
    const VECTOR beta = SET(s->tokens.beta[t * s->tokens.gate_stride]);
    const VECTOR own = SET(s->with_keys[t][1][before]);
    const float *v = s->tokens.v + t * s->tokens.stride + c;
    float *out = s->tokens.out + t * s->tokens.out_stride + c;
    for (int j = 0; j < vectors; j++) {
      const VECTOR u = MULTIPLY(beta, SUBTRACT(LOAD(v + LANES * j), known[j]));
      STORE(update + LANES * j, u);
      STORE(out + LANES * j, MULTIPLY(SET(scale), MULTIPLY_ADD(own, u, answer[j])));
    }
  }
}

/* Adds the updates of a full chunk to two rows of S for `vectors` vectors of value indices from `c` on. The keys
 * have met their decays. */
INLINE void delta_fold_rows(const delta_segment *s, size_t row, size_t c, const int vectors) {
  VECTOR sums[2][DELTA_COLUMNS / LANES];
  float *values = s->state.values + row * s->dim + c;
  const float *keys = s->state.keys + row, *update = s->state.updates + c;
  const VECTOR keep = SET(*s->state.keep);
  for (size_t r = 0; r < 2; r++) {
    for (int j = 0; j < vectors; j++) sums[r][j] = MULTIPLY(keep, LOAD(values + r * s->dim + (size_t)(LANES * j)));
  }
  for (size_t i = 0; i < CK_DELTA_CHUNK; i++, update += s->dim, keys += s->dim) {
    VECTOR u[DELTA_COLUMNS / LANES];
    for (int j = 0; j < vectors; j++) u[j] = LOAD(update + LANES * j);
    for (int r = 0; r < 2; r++) {
      const VECTOR key = SET(keys[r]);
      for (int j = 0; j < vectors; j++) sums[r][j] = MULTIPLY_ADD(key, u[j], sums[r][j]);
    }
  }
  for (size_t r = 0; r < 2; r++) {
    for (int j = 0; j < vectors; j++) STORE(values + r * s->dim + (size_t)(LANES * j), sums[r][j]);
  }
}

INLINE void delta_fold(const delta_segment *s, size_t c, const int vectors) {
  for (size_t row = 0; row < s->dim; row += 2) delta_fold_rows(s, row, c, vectors);
}

/* All steps of several tokens for `vectors` vectors of value indices from `c` on. */
INLINE void delta_columns(const delta_segment *s, size_t c, float scale, const int vectors) {
  float recalled[CK_DELTA_CHUNK][2][DELTA_COLUMNS], part[DELTA_KEYS][DELTA_COLUMNS];
  const float *values = s->state.values + c;
  size_t stride = s->dim;
  if (vectors == DELTA_COLUMNS / LANES && s->dim <= DELTA_KEYS) {
    /* Rows of the state lie `dim` floats apart, which puts them into few sets of the cache. */
    for (size_t i = 0; i < s->dim; i++) memcpy(part[i], values + i * s->dim, sizeof part[i]);
    values = part[0];
    stride = DELTA_COLUMNS;
  }
  if (vectors == DELTA_COLUMNS / LANES) {
    for (size_t at = 0; at < DELTA_COLUMNS; at += TILE_COLUMNS) {
      delta_recall_all(s, values + at, stride, recalled, at, TILE_COLUMNS / LANES);
    }
  } else {
    delta_recall_all(s, values, stride, recalled, 0, vectors);
  }
  delta_answer(s, c, recalled[0][0], DELTA_COLUMNS, scale, vectors);
  if (s->waiting + s->count == CK_DELTA_CHUNK) delta_fold(s, c, vectors);
}

/* Asks for the rows that come next, `DELTA_COLUMNS` values from `values` on: the state is read once a token, and its
 * heads are too short for the CPU to find out by itself. */
INLINE void delta_prefetch(const delta_segment *s, const float *values, size_t row) {
  const size_t end = row + DELTA_ROWS < s->dim ? row + DELTA_ROWS : s->dim;
  for (size_t i = row; i < end; i++) {
    __builtin_prefetch(values + i * s->dim);
    __builtin_prefetch(values + i * s->dim + 16);
  }
}

/* All steps of one token for the value indices `c` ..< `c + DELTA_KEYS`, or to the last. */
INLINE void delta_row(const delta_segment *s, size_t c, float scale) {
  float recalled[2][DELTA_KEYS];
  const float *values = s->state.values + c;
  const size_t width = s->dim - c < DELTA_KEYS ? s->dim - c : DELTA_KEYS;
  for (size_t i = 0; i < s->dim; i += DELTA_ROWS) {
    size_t j = 0;
    for (; j + DELTA_COLUMNS <= width; j += DELTA_COLUMNS) {
      delta_prefetch(s, values + j, i + DELTA_ROWS);
      delta_recall(s, values + j, s->dim, i, i + DELTA_ROWS, 0, recalled[0] + j, DELTA_KEYS, 1,
                   DELTA_COLUMNS / LANES);
    }
    for (; j < width; j += DELTA_STEP) {
      delta_recall(s, values + j, s->dim, i, i + DELTA_ROWS, 0, recalled[0] + j, DELTA_KEYS, 1, DELTA_STEP / LANES);
    }
  }
  for (size_t j = 0; j < width; j += DELTA_STEP) {
    delta_answer(s, c + j, recalled[0] + j, DELTA_KEYS, scale, DELTA_STEP / LANES);
  }
  if (s->waiting + 1 < CK_DELTA_CHUNK) return;
  size_t j = 0;
  for (; j + DELTA_COLUMNS <= width; j += DELTA_COLUMNS) delta_fold(s, c + j, DELTA_COLUMNS / LANES);
  for (; j < width; j += DELTA_STEP) delta_fold(s, c + j, DELTA_STEP / LANES);
}

/* The segment's tokens; `dim` is a multiple of DELTA_STEP. */
INLINE void delta_advance(delta_segment *s) {
  const float scale = (float)(1 / sqrt((double)s->dim));
  if (s->waiting == 0) *s->state.keep = 1;
  delta_meet_keys(s);
  const size_t waiting = s->waiting + s->count;
  for (size_t i = 0; waiting == CK_DELTA_CHUNK && i < waiting; i++) {
    float *key = s->state.keys + i * s->dim;
    for (size_t j = 0; j < s->dim; j++) key[j] *= s->state.decays[i];
  }
  size_t c = 0;
  if (s->count == 1) {
    for (; c < s->dim; c += DELTA_KEYS) delta_row(s, c, scale);
  } else {
    for (; c + DELTA_COLUMNS <= s->dim; c += DELTA_COLUMNS) {
      delta_columns(s, c, scale, DELTA_COLUMNS / LANES);
    }
    for (; c < s->dim; c += DELTA_STEP) delta_columns(s, c, scale, DELTA_STEP / LANES);
  }
  *s->state.count = waiting == CK_DELTA_CHUNK ? 0 : (float)waiting;
}

/* All tokens; `dim` is a multiple of DELTA_STEP. */
INLINE void delta_steps(float *state, ck_delta_tokens tokens, size_t dim) {
  delta_segment s = {.state = ck_delta_state_at(state, dim), .tokens = tokens, .dim = dim};
  for (size_t left = tokens.count; left > 0; left -= s.count) {
    s.waiting = (size_t)*s.state.count;
    const size_t room = CK_DELTA_CHUNK - s.waiting;
    s.count = left < room ? left : room;
    delta_advance(&s);
    s.tokens.q += s.count * tokens.stride;
    s.tokens.k += s.count * tokens.stride;
    s.tokens.v += s.count * tokens.stride;
    s.tokens.gate += s.count * tokens.gate_stride;
    s.tokens.beta += s.count * tokens.gate_stride;
    s.tokens.out += s.count * tokens.out_stride;
  }
}
